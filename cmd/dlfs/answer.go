package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"dlfs/fetch"
)

// How much of an answer is read. The process that answers may be stuck, or not be dlfs.
const (
	answerStall = 8 * time.Second // in which some of it comes, and all of a short one
	answerMost  = 1 << 30         // bytes
	valueMost   = 1 << 20         // bytes of one entry of it
	textMost    = 64 << 10        // bytes, if it is text
	keysMost    = 100             // of an object: newer ones may have some more
	entriesMost = 20_000_000      // that a list may have
)

// errTooLong ends an answer that is longer than any dlfs sends. It also bounds the
// memory that a wrong program on the socket can take.
var errTooLong = errors.New("answer of the process there is longer than it can be; it may be no dlfs")

// errOtherJSON is an answer of JSON that has not what every dlfs says.
var errOtherJSON = errors.New("it is JSON of another kind")

// isOddJSON reports whether reading an answer failed because no dlfs gives such a one: it is
// empty, no JSON, or JSON of another kind.
func isOddJSON(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.Is(err, errOtherJSON) || errors.Is(err, io.EOF) || errors.As(err, &syntax) || errors.As(err, &kind)
}

// answer is what a process answers, read within bounds: of time (stalled, late) and of
// bytes (value, all). One goroutine reads it, and closes it with close.
type answer struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stalled *time.Timer
	late    *time.Timer
	resp    *http.Response
	json    *json.Decoder // reads this
	value   int64         // bytes that what is read now may yet have
	all     int64         // bytes that all may yet have
}

// newAnswer returns an answer that is yet to come, for a request under its ctx. If
// nothing of it comes for answerStall, ctx ends with errNoAnswer.
func newAnswer(ctx context.Context) *answer {
	a := &answer{value: valueMost, all: answerMost}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.stalled = time.AfterFunc(answerStall, func() { a.cancel(errNoAnswer) })
	a.json = json.NewDecoder(a)
	return a
}

// alive notes that the process has said something, and so begins another answerStall.
func (a *answer) alive() { a.stalled.Reset(answerStall) }

// begun takes the response once its header has come. From then on the whole answer has
// answerStall, so that a process which sends a byte now and then does not keep a
// command for ever; status extends the time for long lists.
func (a *answer) begun(resp *http.Response) {
	a.resp = resp
	a.alive()
	a.late = time.AfterFunc(answerStall, func() { a.cancel(errNoAnswer) })
}

// Read reads the body for the decoder. It returns errTooLong once a bound of bytes is
// reached, and the cause of ctx, such as errNoAnswer, instead of the error of a
// connection that was closed for it.
func (a *answer) Read(p []byte) (int, error) {
	if a.value <= 0 || a.all <= 0 {
		return 0, errTooLong
	}
	n, err := a.resp.Body.Read(p[:min(int64(len(p)), a.value, a.all)])
	a.value, a.all = a.value-int64(n), a.all-int64(n)
	if err != nil && err != io.EOF && a.ctx.Err() != nil {
		return n, context.Cause(a.ctx)
	}
	if n > 0 {
		a.alive()
	}
	return n, err
}

// text returns the whole of a short answer.
func (a *answer) text() (string, error) {
	a.value = textMost
	b, err := io.ReadAll(a)
	return strings.TrimSpace(string(b)), err
}

// close ends the request and its timers.
func (a *answer) close() {
	a.stalled.Stop()
	a.cancel(nil)
	if a.resp != nil {
		a.late.Stop()
		a.resp.Body.Close()
	}
}

// decode reads the next value into v. The value is at most valueMost bytes long.
func (a *answer) decode(v any) error {
	a.value = valueMost
	return a.json.Decode(v)
}

// object reads an object, and calls each with the key of each of its values; each must
// read the value. An object of more than keysMost keys is errTooLong.
func (a *answer) object(each func(key string) error) error {
	n := 0
	return a.sequence('{', func() error {
		if n++; n > keysMost {
			return errTooLong
		}
		a.value = valueMost
		key, err := a.json.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the decoder lets nothing else be a key
		return each(name)
	})
}

// sequence reads an array or object that begins with open, or null, and calls
// each for what is in it.
func (a *answer) sequence(open json.Delim, each func() error) error {
	a.value = valueMost
	t, err := a.json.Token()
	if err != nil || t == nil {
		return err
	}
	if t != open {
		return errOtherJSON
	}
	for a.json.More() {
		if err := each(); err != nil {
			return err
		}
	}
	a.value = valueMost
	_, err = a.json.Token()
	return err
}

// status reads a Status without its entries, and calls head with it before it calls
// each with each of the entries, which are never in memory together. The process sends
// the entries last. An answer without them is an error, since it was cut off or is from
// another program.
func (a *answer) status(head func(*Status) error, each func(fetch.EntryStatus) error) error {
	s, fields := &Status{Entries: []fetch.EntryStatus{}}, map[string]json.RawMessage{}
	told := false
	err := a.object(func(key string) error {
		if key != "entries" {
			var v json.RawMessage
			err := a.decode(&v)
			fields[key] = v
			return err
		}
		if told {
			return errTooLong
		}
		told = true
		if err := s.set(fields); err != nil {
			return err
		}
		a.late.Reset(answerStall + time.Duration(s.FilesTotal)*50*time.Microsecond)
		if err := head(s); err != nil {
			return err
		}
		n := 0
		return a.sequence('[', func() error {
			if n++; n > 2*s.FilesTotal+1000 { // the list may just be replaced
				return errTooLong
			}
			var e fetch.EntryStatus
			if err := a.decode(&e); err != nil {
				return err
			}
			return each(e)
		})
	})
	if err == nil && !told {
		err = errOtherJSON
	}
	return err
}

// set takes the fields of a status but for the entries.
func (s *Status) set(fields map[string]json.RawMessage) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	if s.FilesTotal < 0 || s.FilesTotal > entriesMost {
		return errOtherJSON
	}
	return nil
}

// difference reads a fetch.Difference as it comes, and keeps of each kind only the number of names
// and the first few, which are printed: a list of millions may replace another one.
func (a *answer) difference() (kinds []kindOfChange, err error) {
	kinds = kindsOf(fetch.Difference{})
	known := false
	err = a.object(func(key string) error {
		var rest json.RawMessage
		for i := range kinds {
			if kinds[i].key == key {
				known = true
				return a.sequence('[', func() error {
					var name string
					if err := a.decode(&name); err != nil {
						return err
					}
					kinds[i].add(name)
					return nil
				})
			}
		}
		return a.decode(&rest)
	})
	if err == nil && !known {
		err = errOtherJSON
	}
	return kinds, err
}
