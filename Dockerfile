# A static binary on nothing else. Build: docker build -t REGISTRY/holdpoint:VERSION .
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
# The image's own toolchain; without this, rustup would fetch the components that rust-toolchain.toml names for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# With an explicit target the flags reach the binary only, and not build scripts and procedural macros, which cannot be static.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin holdpoint --target "$(rustc --print host-tuple)" \
    && mv target/*/release/holdpoint /holdpoint

FROM scratch
LABEL org.opencontainers.image.title="holdpoint" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /holdpoint /holdpoint
USER 65532:65532
ENTRYPOINT ["/holdpoint"]
CMD ["run"]
