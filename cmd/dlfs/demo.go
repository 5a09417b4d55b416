package main

type demoCmd struct{}

// Run is written next.
func (c *demoCmd) Run() error { return nil }
