package vault

// Kept counts what a pool keeps: the names, and the slots.
func (p *SlotPool) Kept() [2]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots := 0
	for _, kept := range p.kept {
		slots += len(kept)
	}
	return [2]int{len(p.kept), slots}
}
