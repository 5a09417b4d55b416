package main

import "time"

// sizes are how much each row does.
type sizes struct {
	rounds int

	one   load // one large file
	parts load // several
	small load // many small ones
	tiny  load // more, and smaller
	late  load // small ones from an origin that pauses before each

	secure load // over TLS
	opened int  // opens of a complete file

	paced    load // at pacedRate a connection, 8 connections
	pacedOne load // the same, 1 connection
	random   int  // reads of a cold file
	vast     load // a part of it is there when dlfs starts
	stated   load // whose sizes are known when dlfs starts
	walked   load // the same, of a longer list

	unknown     load          // ls -l asks for the size of each file
	threaded    load          // fetched while others read
	threadReads int           // by each of those
	quick       time.Duration // of random reads of a warm file
	prefetch    time.Duration // of all there is
	prefetched  int64         // and no more than so many bytes
}

const (
	mib = 1 << 20
	gib = 1 << 30

	pause      = 50 * time.Millisecond // before a first byte
	pacedRate  = 20_000_000            // bytes a second, of a connection
	linkRate   = "200mbit"
	tenGiB     = 10 * gib
	stateEvery = 128 * mib // one block of so many is there when dlfs starts
)

// longSizes are those of the figures that are published. A run with them takes half an
// hour.
var longSizes = sizes{
	rounds: 5,
	one:    load{1, gib}, parts: load{16, 64 * mib}, small: load{2000, 64 << 10}, tiny: load{20_000, 4 << 10}, late: load{2000, 64 << 10},
	secure: load{4, 256 * mib}, opened: 10_000,
	paced: load{1, gib}, pacedOne: load{1, 64 * mib}, random: 300,
	vast: load{1000, tenGiB}, stated: load{100_000, 64 << 10}, walked: load{200_000, 64 << 10},
	unknown: load{1000, 64 << 10}, threaded: load{16, 64 * mib}, threadReads: 1000,
	quick: 3 * time.Second, prefetch: time.Minute, prefetched: 16 * gib,
}

// shortSizes are those of -short, and of the tests.
var shortSizes = sizes{
	rounds: 3,
	one:    load{1, 128 * mib}, parts: load{16, 8 * mib}, small: load{500, 64 << 10}, tiny: load{2000, 4 << 10}, late: load{480, 64 << 10},
	secure: load{4, 32 * mib}, opened: 2000,
	paced: load{1, 200 * mib}, pacedOne: load{1, 10 * mib}, random: 16,
	vast: load{50, tenGiB}, stated: load{10_000, 64 << 10}, walked: load{20_000, 64 << 10},
	unknown: load{160, 64 << 10}, threaded: load{16, 16 * mib}, threadReads: 200,
	quick: 200 * time.Millisecond, prefetch: 2 * time.Second, prefetched: gib,
}

// allRows returns the rows, in the order of the goals.
func allRows(z sizes) []row {
	var all []row
	all = append(all, fetchRows(z)...)
	all = append(all, tlsRows(z)...)
	all = append(all, coldRows(z)...)
	all = append(all, randomRows(z)...)
	all = append(all, warmRows(z)...)
	all = append(all, listRows(z)...)
	all = append(all, wholeRows(z)...)
	return append(all, startRows(z)...)
}
