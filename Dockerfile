# syntax=docker/dockerfile:1
# One image with the one binary; `command:` chooses the service. Contracts and
# templates are embedded in the binary.
#
# Not built where it was written, as no container engine runs there; the public
# CI is to build and start it (.github/workflows/ci.yml).

FROM rust:1.95-bookworm AS build
# The toolchain of the image, without the components that only lint needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p upshot-handlers \
    && install -D target/release/upshot /out/upshot

FROM debian:bookworm-slim
# Certificates for S3 and mail over TLS; curl for the health checks; fonts (60 MB) for
# invoices in other scripts than Latin, Greek and Cyrillic. fonts-noto-cjk (91 MB) has more
# weights of Chinese, Japanese and Korean letters than the one that is here.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    fonts-noto-core fonts-droid-fallback fonts-noto-color-emoji \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin upshot \
    && install -d -o upshot -g upshot /var/lib/upshot /var/lib/upshot/files
COPY --from=build /out/upshot /usr/local/bin/upshot
ENV UPSHOT_DATA_DIR=/var/lib/upshot
USER upshot
WORKDIR /var/lib/upshot
# Running jobs are finished first: executor.shutdown_grace.
STOPSIGNAL SIGTERM
ENTRYPOINT ["upshot"]
CMD ["--help"]
