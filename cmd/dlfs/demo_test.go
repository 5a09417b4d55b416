package main

import (
	"testing"

	"dlfs/fetch/origin"
)

// The demo runs with the defaults of the command line, which are those of package origin.
func TestDemoHasTheDefaults(t *testing.T) {
	f, err := new(demoCmd).flags()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.validate(); err != nil {
		t.Error(err)
	}
	if f.Tries != origin.DefaultTries || f.RetryWait != origin.DefaultRetryWait || f.ConnectFor != origin.DefaultConnectTimeout ||
		f.IdleFor != origin.DefaultTimeout || f.MaxWait != origin.DefaultMaxWait {
		t.Errorf("flags %+v", f.requestFlags)
	}
	if !f.NoNetrc || f.Split == 0 || f.Jobs == 0 {
		t.Errorf("flags %+v", f)
	}
}
