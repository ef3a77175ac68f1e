package svixmock

import "net/http"

// health says that all is well.
func (s *Server) health(*call) (answer, error) {
	return answer{
		status: http.StatusOK,
		body:   []byte(`{"database":{"status":"ok"},"queue":{"status":"ok"},"cache":{"status":"ok"}}`),
	}, nil
}

func (s *Server) ping(*call) (answer, error) { return noContent, nil }

func (s *Server) logout(*call) (answer, error) {
	return answer{}, fail(http.StatusNotImplemented)
}

// home leads to the documentation.
func (s *Server) home(*call) (answer, error) {
	return answer{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {"/docs"}}}, nil
}

// docs stands for the documentation, which the mock does not have.
func (s *Server) docs(*call) (answer, error) {
	return answer{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body:   []byte("<!doctype html><title>Mock of a Svix server</title><p>This mock has no documentation."),
	}, nil
}

// openAPI stands for the OpenAPI document, which the mock does not have.
func (s *Server) openAPI(*call) (answer, error) {
	return jsonAnswer(http.StatusOK, map[string]string{"info": "not imitated"}), nil
}
