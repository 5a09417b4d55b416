package origintest_test

import (
	"fmt"
	"io"
	"net/http"

	"dlfs/fetch/origintest"
)

// The server is busy for the first request, and cuts the answer to the second.
func ExampleOrigin_Inject() {
	o := origintest.New()
	o.Put("/a.txt", origintest.Text("hello, world"))
	busy := origintest.Status(503, "Retry-After", "1").Times(1)
	cut := origintest.CutAfter(6).After(1).Times(1) // the second answer alone
	o.Inject(busy, cut)
	base, stop := o.Start()
	defer stop()
	for range 3 {
		resp, err := http.Get(base + "/a.txt")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body = nil
		}
		fmt.Printf("%d %q %v\n", resp.StatusCode, body, err)
	}
	fmt.Println(busy.Hits(), cut.Hits())
	// Output:
	// 503 "" <nil>
	// 200 "hello," unexpected EOF
	// 200 "hello, world" <nil>
	// 1 1
}
