// How the dashboard is built: three files with stable names, and a compressed copy of each.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Writes `name.br` beside each built text. The API sends it to a browser that takes it. */
function compressed(): Plugin {
  let folder = "dist";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      for (const name of readdirSync(folder)) {
        if (name.endsWith(".br")) continue;
        const content = readFileSync(join(folder, name));
        const options = {
          params: {
            [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
          },
        };
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(content, options));
      }
    },
  };
}

const api = process.env["UPSHOT_API"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  // The API may stand below a prefix of a proxy, so each address is relative.
  base: "./",
  plugins: [compressed()],
  build: {
    target: "es2022",
    outDir: "dist",
    // The folder is emptied by name in `make dashboard`; what is there otherwise stays.
    emptyOutDir: true,
    modulePreload: false,
    cssCodeSplit: false,
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        chunkFileNames: "[name].js",
        assetFileNames: "app[extname]",
        codeSplitting: false,
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/healthz", "/readyz", "/openapi.json", "/problems"].map((path) => [
        path,
        {
          target: api,
          changeOrigin: true,
          // The API refuses changes of a page that is not its own.
          configure: (proxy) => proxy.on("proxyReq", (request) => request.removeHeader("origin")),
        },
      ]),
    ),
  },
});
