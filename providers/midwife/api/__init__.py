"""The midwife's API, version 1: how `fleet` on another machine stages boots, waits for births, and keeps its state.

The wire format, which two clients speak (providers/midwife/remote/client.py for boots, the state store's own):

- HTTPS, HTTP/1.1, TLS 1.2 or newer. Both sides prove who they are by certificates of the midwife's own authority. The
  server's certificate is for the name `fleet-midwife` (SERVER_NAME), whatever address or URL leads to it: verify that
  name, and send it as SNI. An identity file (`fleet midwife enroll`) holds in PEM: the private key, the client's
  certificate, the authority's certificate. The client's certificate has the SAN URI `fleet:NAME`.
- Paths begin with `/v1/fleets/NAME/`; what follows is in the tables of `routes`. NAME must be the certificate's.
- Bodies and answers are JSON objects (`Content-Type: application/json`), except where the table says bytes. A body
  needs `Content-Length`. Success is 200 with an object, `{}` where there is nothing to say.
- Calls that change something carry the token of the fleet's lock in the header `Fleet-Lock` (HEADER). All of them may
  be repeated: the same call again has no other effect.
- An error is 4xx or 5xx with `{"error": sentence, "detail": …, "remedy": …, "code": word}`; further keys belong to the
  code. `diagnostics`, where there, is a list of several such objects without code. Codes and statuses: `wire.CODES`.
- Repeat after a while: no answer at all, 408, 429, 500, 502, 503, 504. Never repeat other 4xx, nor 507 before there is
  room. `retry` in the body of a 503 is a number of seconds.
"""
