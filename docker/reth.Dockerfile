# syntax=docker/dockerfile:1.7
# pol-reth, the custom Reth, for the profile `clients` of docker-compose.yaml. It is built from this repository and Reth's tag v2.5.1, which
# cargo takes from GitHub: that has to be reached, and 16 GB of memory and an hour on 8 cores are what Reth itself asks for.
#
#   docker build --file docker/reth.Dockerfile --tag pol-ai/reth .

ARG DEBIAN=bookworm
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS build
ARG RUST_VERSION
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION} CARGO_NET_GIT_FETCH_WITH_CLI=true
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates clang g++ git libclang-dev make pkg-config \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,id=polai-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=polai-reth-git,target=/usr/local/cargo/git,sharing=locked \
    --mount=type=cache,id=polai-reth-target,target=/src/reth-ai-exex/node/target,sharing=locked \
    cargo build --release --locked --manifest-path reth-ai-exex/node/Cargo.toml \
  && install -D --target-directory=/out reth-ai-exex/node/target/release/pol-reth

FROM debian:${DEBIAN}-slim AS reth
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --no-create-home --home-dir /data --uid 10001 --user-group polai \
  && install --directory --mode 0700 --owner polai --group polai /data /data/chain_data /data/secrets_data
COPY --chmod=0755 docker/health /usr/local/bin/polai-health
COPY --from=build /out/pol-reth /usr/local/bin/
USER 10001:10001
WORKDIR /data
STOPSIGNAL SIGTERM
CMD ["pol-reth", "node"]
