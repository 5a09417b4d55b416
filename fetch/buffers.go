package fetch

import "sync"

// bufferSize is how much a flight may take from the network before it writes, if
// the options say nothing else.
const bufferSize = 512 << 10

// bufferPool keeps the buffers of flights, or of answers to other machines. Each is of one block at least.
type bufferPool struct {
	size int
	pool sync.Pool
}

// get returns a buffer, to be put back.
func (p *bufferPool) get() []byte {
	if buf, ok := p.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, p.size)
}

// put gives a buffer back. The caller does not use it any more.
func (p *bufferPool) put(buf []byte) { p.pool.Put(&buf) }
