//go:build !linux

package main

// apart leaves the load generator where it is: other systems have no common way to give it a processor of its own.
func (b *bench) apart(start func() error) (together func(), err error) { return func() {}, start() }
