package peers

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the port of a machine for which none is given.
const DefaultPort = "3537"

// maxNames bounds what a host list expands to, so that a slip such as [0-99999999] is an
// error and not a machine out of memory.
const maxNames = 1 << 16

// ParseHosts reads a list of machines in the syntax of Slurm's host lists: names separated
// by commas, in which [01-10,12] stands for each of these numbers with as many digits as
// the first. A name may end with :PORT. One without a port has that of the last name of
// the list, or DefaultPort. A literal IPv6 address is written as in a URL, such as
// [fe80::1]:3537. Every name that is returned has a port, and none comes twice.
func ParseHosts(list string) (names []string, err error) {
	items, err := splitItems(list)
	if err != nil {
		return nil, err
	}
	// Lists such as "n[1-8]:3537" and "n1,n2:3537" have one port for all.
	port := DefaultPort
	if _, p := cutPort(items[len(items)-1]); p != "" {
		port = p
	}
	seen := map[string]bool{}
	for _, item := range items {
		host, p := cutPort(item)
		if p == "" {
			p = port
		}
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("host list: %q is no port", p)
		}
		hosts, err := expand(host)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			if name := net.JoinHostPort(h, p); !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if len(names) > maxNames {
			return nil, fmt.Errorf("host list: more than %d names", maxNames)
		}
	}
	return names, nil
}

// splitItems splits a host list at the commas outside of brackets. The error says that
// brackets are not closed, or an item is empty.
func splitItems(list string) (items []string, err error) {
	// The comma that is added ends the last item like the others.
	from, depth := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			item := strings.TrimSpace(list[from:i])
			if item == "" {
				return nil, fmt.Errorf("host list: a name is missing in %q", list)
			}
			items = append(items, item)
			from = i + 1
		}
		if depth < 0 || depth > 1 {
			return nil, fmt.Errorf("host list: brackets do not match in %q", list)
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("host list: brackets do not match in %q", list)
	}
	return items, nil
}

// cutPort splits a name from its port, which is "" if there is none.
func cutPort(item string) (host, port string) {
	colon := strings.LastIndexByte(item, ':')
	if colon < 0 || strings.IndexByte(item[colon:], ']') >= 0 {
		return item, ""
	}
	return item[:colon], item[colon+1:]
}

// expand returns the names that a name with ranges in brackets stands for, in the
// notation of Slurm: node[1-3,7] is node1, node2, node3 and node7. It calls itself for
// further brackets in the rest of the name.
func expand(name string) ([]string, error) {
	before, rest, ok := strings.Cut(name, "[")
	if !ok {
		if name == "" || strings.ContainsAny(name, " \t/@:") {
			return nil, fmt.Errorf("host list: %q is no name of a host", name)
		}
		return []string{name}, nil
	}
	inside, after, _ := strings.Cut(rest, "]")
	// Brackets around a literal IPv6 address are those of a URL, not a range.
	if strings.Contains(inside, ":") && before == "" && after == "" && net.ParseIP(inside) != nil {
		return []string{inside}, nil
	}
	tails := []string{""}
	if after != "" {
		var err error
		if tails, err = expand(after); err != nil {
			return nil, err
		}
	}
	var names []string
	for part := range strings.SplitSeq(inside, ",") {
		numbers, err := count(part)
		if err != nil {
			return nil, err
		}
		// The product is looked at before it is made: n[1-9999][1-9999] stands for a hundred million.
		if len(names)+len(numbers)*len(tails) > maxNames {
			return nil, fmt.Errorf("host list: %q stands for more than %d names", name, maxNames)
		}
		for _, n := range numbers {
			for _, tail := range tails {
				names = append(names, before+n+tail)
			}
		}
	}
	return names, nil
}

// count returns the numbers of one part inside brackets, such as 01-10, with as many
// leading zeros as the first one has.
func count(part string) ([]string, error) {
	first, last, isRange := strings.Cut(part, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 32)
	to, err2 := strconv.ParseUint(last, 10, 32)
	switch {
	case err1 != nil || err2 != nil:
		return nil, fmt.Errorf("host list: %q is no number and no range of numbers", part)
	case from > to:
		return nil, fmt.Errorf("host list: the range %s ends before it begins", part)
	case to-from >= maxNames:
		return nil, fmt.Errorf("host list: the range %s stands for more than %d names", part, maxNames)
	}
	var numbers []string
	for n := from; n <= to; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(first), n))
	}
	return numbers, nil
}
