package origin

import (
	"maps"
	"slices"

	"dlfs/cache/lockorder"
)

// mostHosts is how many hosts have their requests counted by name. Those of all others
// are counted together: a list may have as many hosts as files.
const mostHosts = 100

// OtherHosts is the host of Requests that stands for those beyond the first hundred.
const OtherHosts = "other"

// Requests are those that one host has answered in one way.
type Requests struct {
	Host string // and port, if the URL has one
	Code int    // status; 0 if no answer came
	N    int64
}

// answered counts the requests that were made, by host and status. The zero value is ready.
type answered struct {
	mu    lockorder.Mutex[lockorder.Leaf]
	count map[string]map[int]int64 // guarded by mu
}

// add counts an answer. Hosts after the first mostHosts count together, so that a long list of
// hosts does not fill the memory.
func (a *answered) add(host string, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == nil {
		a.count = map[string]map[int]int64{}
	}
	codes := a.count[host]
	if codes == nil && len(a.count) >= mostHosts {
		host = OtherHosts
		codes = a.count[host]
	}
	if codes == nil {
		codes = map[int]int64{}
		a.count[host] = codes
	}
	codes[code]++
}

// Requests returns how many requests were made so far, by host and status, sorted. Each
// hop of a redirect counts, and so does each attempt. There are at most about a hundred
// hosts, see OtherHosts. It does not block.
func (c *Client) Requests() (all []Requests) {
	c.answered.mu.Lock()
	defer c.answered.mu.Unlock()
	for _, host := range slices.Sorted(maps.Keys(c.answered.count)) {
		codes := c.answered.count[host]
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			all = append(all, Requests{host, code, codes[code]})
		}
	}
	return all
}
