// How the dashboard is built: three files with stable names, and a compressed copy of each.
import { defineConfig } from "vite";
import { compressed } from "./vite.compressed.ts";

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
