//go:build !linux

package password

import "errors"

// lowerPriority fails: elsewhere a nice value belongs to the whole process.
func lowerPriority() error { return errors.ErrUnsupported }

// onMainThread does not matter where no priority is changed.
func onMainThread() bool { return false }
