# syntax=docker/dockerfile:1

# The Go version follows go.mod; docs/deploy_test.go compares the two.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /fluxbase ./cmd/fluxbase

FROM alpine:3.22
RUN addgroup -g 10001 fluxbase && adduser -u 10001 -G fluxbase -D -H -h / -s /sbin/nologin fluxbase
COPY --from=build /fluxbase /usr/local/bin/fluxbase
COPY LICENSE /usr/share/licenses/fluxbase/LICENSE
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 10001:10001
EXPOSE 8080
# /readyz asks the database too: healthy means that requests will be answered.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/usr/local/bin/fluxbase"]
CMD ["serve"]
