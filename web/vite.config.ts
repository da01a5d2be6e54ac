import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const LICENCES = "licences.md";

/** Licences that Vite does not see: of what Monaco contains, and of what only a worker imports. */
const FURTHER = ["monaco-editor/ThirdPartyNotices.txt", "picomatch-browser/LICENSE"];

function further(): Plugin {
  return {
    name: "further-licences",
    generateBundle: {
      // After Vite has listed those that it sees.
      order: "post",
      handler(_options, bundle) {
        const licences = bundle[LICENCES];
        if (licences?.type !== "asset") this.error(`${LICENCES} is missing`);
        const texts = FURTHER.map(
          (name) => `\n## ${name}\n\n${readFileSync(`node_modules/${name}`, "utf8").replaceAll("\r\n", "\n")}`,
        );
        licences.source = licences.source + texts.join("");
      },
    },
  };
}

export default defineConfig({
  // Served by Zweck itself: the page at /graphiql, everything else below it.
  base: "/graphiql/",
  plugins: [further()],
  build: {
    target: "es2022",
    // Nothing inside the page that the content security policy would have to make an exception for.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What is shipped names its makers, as their licences ask.
    license: { fileName: LICENCES },
    // Monaco is large; a browser loads it once and keeps it.
    chunkSizeWarningLimit: 4096,
    rollupOptions: {
      onwarn(warning, warn) {
        // "use client" speaks to servers that render React; there is none here.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning);
      },
    },
  },
  worker: { format: "es" },
});
