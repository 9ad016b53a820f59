// Minifies the snippet; its first line holds the digest of its source, so that a test sees when it is not current.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { buildSync } from "esbuild";

const source = "src/footlights.ts";
const digest = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
buildSync({
  entryPoints: [source],
  outfile: "../footlights/browser/footlights.min.js",
  minify: true,
  target: "es2020",
  banner: { js: `/*${digest}*/` },
  legalComments: "none",
});
