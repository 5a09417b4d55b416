package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// askWithin is how long a source may take to answer a question, and orderWithin to do
	// what a button asks: a reload may fetch a long list.
	askWithin   = 15 * time.Second
	orderWithin = 10 * time.Minute

	// parameterMost is how long a parameter may be: the name of a file.
	parameterMost = 16 << 10
)

// relay sends a request to the source that the parameter "source" names by its number,
// with these parameters of it and no others, and the answer back.
func (s *Server) relay(method, path string, parameters ...string) http.HandlerFunc {
	within := askWithin
	if method != http.MethodGet {
		within = orderWithin
	}
	return func(w http.ResponseWriter, r *http.Request) {
		form := r.URL.Query()
		n, err := strconv.Atoi(form.Get("source"))
		if err != nil || n < 0 || n >= len(s.watchers) {
			http.Error(w, "there is no such source", http.StatusBadRequest)
			return
		}
		asked := path
		if query := only(form, parameters); query != "" {
			asked += "?" + query
		}
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		status, body, err := s.watchers[n].source.Ask(ctx, method, asked)
		c := http.NewResponseController(w)
		c.SetWriteDeadline(time.Now().Add(answerWithin)) // what cannot have one is a test
		switch {
		case err != nil && r.Context().Err() != nil:
			return // the browser has left
		case errors.Is(err, context.DeadlineExceeded):
			http.Error(w, "no answer within "+within.String(), http.StatusGatewayTimeout)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
		case status != http.StatusOK:
			http.Error(w, string(body), status)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Write(body) // fails when the browser has left
		}
		if method != http.MethodGet {
			s.watchers[n].lookNow()
		}
	}
}

// only returns the query of those parameters that are given and are none too long.
func only(form url.Values, parameters []string) string {
	kept := url.Values{}
	for _, p := range parameters {
		if v := form.Get(p); form.Has(p) && len(v) <= parameterMost {
			kept.Set(p, v)
		}
	}
	return kept.Encode()
}
