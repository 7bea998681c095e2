# Train at Home without a window: `docker build -t train-at-home .`, then
# `docker run -v tah:/data train-at-home`. Nothing of the person's computer is visible in it.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY . .
# Electron and browsers are not fetched: .npmrc forbids scripts. The Node that a checkout brings is the image's here.
RUN npm ci && node scripts/dashboard-build.ts && \
    made=$(node scripts/daemon-bundle.ts) && ln -s "${made%/*}" daemon && \
    npm prune --omit=dev && rm -r node_modules/node-linux-*

FROM node:24-bookworm-slim
ENV TAH_HOME=/data NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /app
COPY --from=build --chown=root:root /app /app
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
# It ends within seconds when it is asked to, and hands over what it has begun.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s CMD ["node", "src-cli/tah.ts", "status"]
ENTRYPOINT ["node", "--max-semi-space-size=1", "daemon/main.js"]
# Your yes is part of the command; see `--help` for --join, --data and others.
CMD ["--yes", "--no-neighbours"]
