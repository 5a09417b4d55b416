package cache

// atStep is nil but in tests, which set it before they open a store: it is told
// of every step of what must survive a crash, when it has been done and the next
// one has not. Crash tests die there.
var atStep func(name string)

// step is where a test may stop, kill or fail the process. In the program itself it does
// nothing.
func step(name string) {
	if atStep != nil {
		atStep(name)
	}
}
