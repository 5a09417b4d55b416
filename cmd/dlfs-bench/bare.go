package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// bare is a file at an origin that is read without a filesystem: each read is one
// request for a range, on a connection that stays open. It shows what a read costs
// without dlfs.
type bare struct {
	url    string
	client *http.Client
}

// isURL reports whether a path of a readJob is the URL of a bare file.
func isURL(path string) bool { return strings.HasPrefix(path, "http://") }

// openURL asks for the length of a file with HEAD, and so makes the connection that the
// reads use. It returns the length in bytes.
func openURL(url string) (*bare, int64, error) {
	b := &bare{url, &http.Client{Transport: new(http.Transport)}}
	resp, err := b.client.Head(url)
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return nil, 0, fmt.Errorf("HEAD %s: %s, length %d", url, resp.Status, resp.ContentLength)
	}
	return b, resp.ContentLength, nil
}

// ReadAt implements io.ReaderAt: one GET with a Range header (RFC 9110 section 14.2).
// It reads the body to its end, so that the connection can be used again.
func (b *bare) ReadAt(p []byte, off int64) (int, error) {
	req, err := http.NewRequest(http.MethodGet, b.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return 0, fmt.Errorf("GET %s: %s", b.url, resp.Status)
	}
	n, err := io.ReadFull(resp.Body, p)
	if err != nil {
		return n, err
	}
	_, err = io.Copy(io.Discard, resp.Body) // the connection is free again
	return n, err
}

// Close ends the connection.
func (b *bare) Close() error {
	b.client.CloseIdleConnections()
	return nil
}
