// How the element for other pages is built: one module, `progress.js`, beside the dashboard's files.
import { defineConfig } from "vite";
import { compressed } from "./vite.compressed.ts";

export default defineConfig({
  plugins: [compressed()],
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    modulePreload: false,
    rollupOptions: {
      input: "src/embed/progress.ts",
      // What the module exports is what other pages import.
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "progress.js" },
    },
  },
});
