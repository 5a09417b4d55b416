package cache

import "fmt"

// InTheWayError says that something else stands in the output directory where
// a blob is to be published.
type InTheWayError struct {
	Name string
	Why  string
}

// Error names the file, what stands there, and what to do.
func (e *InTheWayError) Error() string {
	return fmt.Sprintf("%q in the output directory %s; move it away or delete it", e.Name, e.Why)
}

// UnfinishedError is an InTheWayError of a file that may be an unfinished copy of the
// version: it is shorter, or has holes. OpenUnfinished opens it.
type UnfinishedError struct{ *InTheWayError }

// Unwrap returns the InTheWayError.
func (e *UnfinishedError) Unwrap() error { return e.InTheWayError }

// otherSpelling is why a file is in the way whose name the disk takes for another's.
const otherSpelling = "has another spelling of that name, and the disk takes both for one"

// sizeUnknown is why a file is in the way of a version of unknown size.
const sizeUnknown = "cannot be told to be whole: its origin does not say how long it is"
