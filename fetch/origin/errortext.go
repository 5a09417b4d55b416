package origin

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// errorRoots are the local names, in lower case, of the root elements of XML documents that
// describe an error: those of object stores, SOAP and the services of OGC.
var errorRoots = strings.Fields(`error errors errorresponse exception exceptionreport serviceexceptionreport fault`)

// errorMembers are the members of JSON objects that describe an error, by memberName: those of
// RFC 9457, of OAuth and of the large object stores.
var errorMembers = strings.Fields(`error errors exception fault errormessage errormsg errordescription errorcode errorid
	message msg detail details description code status statuscode statustext type title reason instance path timestamp
	requestid traceid hostid resource success ok data result help hint documentationurl errorinfo erroruri`)

// xmlError returns what an XML document tells whose root element is an error, "" if it is none
// or does not end.
func xmlError(body io.Reader) string {
	d := xml.NewDecoder(body)
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var root, within string
	var code, text []string
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && root != "" {
			return brief(strings.Join(append(code, text...), ": "), "<"+root+">")
		}
		if err != nil {
			return ""
		}
		switch t := t.(type) {
		case xml.StartElement:
			within = strings.ToLower(t.Name.Local)
			if root == "" {
				if root = t.Name.Local; !slices.Contains(errorRoots, within) {
					return ""
				}
			}
		case xml.EndElement:
			within = ""
		case xml.CharData:
			switch s := strings.TrimSpace(string(t)); {
			case s == "":
			case strings.Contains(within, "code"):
				code = append(code, s)
			case slices.Contains([]string{"message", "exceptiontext", "serviceexception", "faultstring", "error"}, within):
				text = append(text, s)
			}
		}
	}
}

// memberName is the name of a member of a JSON object as errorMembers has it.
func memberName(key string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key))
}

// jsonError returns what a JSON object tells that describes an error, "" if it does not, or
// does not end. A message alone counts as an error if messages do.
func jsonError(body io.Reader, messages bool) string {
	d := json.NewDecoder(body)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	failed, text := false, ""
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		name := memberName(fmt.Sprint(key))
		if !slices.Contains(errorMembers, name) {
			return ""
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return ""
		}
		switch {
		case name == "data" && !isNothing(value):
			return ""
		case tellsFailure(name, value), messages && (name == "message" || name == "detail") && !isNothing(value):
			failed = true
		}
		if said := sentence(value); said != "" && (text == "" || name == "message" || name == "detail") {
			text = said
		}
	}
	if _, err := d.Token(); err != nil || !failed { // the closing brace
		return ""
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "" // as in lines of JSON
	}
	return brief(text, "a JSON object")
}

// tellsFailure reports whether a member of a JSON object says that a request failed.
func tellsFailure(name string, value any) bool {
	switch name {
	case "error", "errors", "exception", "fault", "errormessage", "errormsg", "errordescription", "errorcode":
		return !isNothing(value)
	case "success", "ok":
		return value == false
	case "status", "code", "statuscode", "result":
		n, _ := value.(float64)
		word, _ := value.(string)
		return n >= 400 && n < 600 || slices.Contains([]string{"error", "fail", "failed", "failure"}, strings.ToLower(word))
	}
	return false
}

// isNothing reports whether a JSON value is null, false, 0, or empty.
func isNothing(value any) bool {
	switch v := value.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return slices.Contains([]any{nil, false, 0.0, ""}, value)
}

// sentence returns a JSON value that is text, or the message or code of an object or of the
// first element of an array; "" for others.
func sentence(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			return sentence(v[0])
		}
	case map[string]any:
		for _, key := range []string{"message", "detail", "code", "error", "type"} {
			if s, _ := v[key].(string); s != "" {
				return s
			}
		}
	}
	return ""
}

// brief returns text as one short line, or other if there is none.
func brief(text, other string) string {
	const most = 160 // characters
	line := []rune(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " "))
	switch {
	case len(line) == 0:
		return other
	case len(line) > most:
		return string(line[:most]) + "…"
	}
	return string(line)
}
