//go:build !linux

package origin

import "net"

// unread is not told here.
func unread(net.Conn) int64 { return 0 }
