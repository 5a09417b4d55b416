package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"

	"dlfs/fetch/origintest"
)

// serveOrigin is this binary as an origin: ADDR RATE SIZE... serves files /0, /1,
// … of these sizes, each answer at RATE bytes a second.
func serveOrigin() {
	o := origintest.New()
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	o.Inject(origintest.Throttle(number(os.Args[2])).Method("GET"))
	for i, size := range os.Args[3:] {
		o.Put(fmt.Sprint("/", i), origintest.File{Content: contentOf(i, number(size))})
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], o))
	os.Exit(1)
}

func contentOf(i int, size int64) origintest.Content {
	return origintest.Content{Seed: uint64(i + 1), Size: size}
}
