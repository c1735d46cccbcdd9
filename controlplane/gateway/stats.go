package gateway

// PoolStats is the state of one pool.
type PoolStats struct {
	Name       string // api, service or server
	Busy, Idle int    // connections
	Size       int    // at most
}

// Stats returns the state of the three pools.
func (g *Gateway) Stats() []PoolStats {
	var list []PoolStats
	for _, p := range []*pool{g.api, g.service, g.server} {
		s := p.inner.Stat()
		list = append(list, PoolStats{Name: p.name, Busy: int(s.AcquiredResources() + s.ConstructingResources()),
			Idle: int(s.IdleResources()), Size: int(s.MaxResources())})
	}
	return list
}
