// Makes generated.ts as codegen.ts says, by the core of GraphQL Code Generator: its command line would bring 300 more packages.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { parse } from "graphql";
import config from "./codegen.ts";

const folder = config.documents.replace("/*.graphql", "");
const documents = readdirSync(folder).map((name) => {
  const location = `${folder}/${name}`;
  return { location, document: parse(readFileSync(location, "utf8")) };
});
for (const [filename, output] of Object.entries(config.generates)) {
  const text = await codegen({
    filename,
    schema: parse(readFileSync(config.schema, "utf8")),
    documents,
    config: output.config,
    plugins: output.plugins.map((name) => ({ [name]: {} })),
    pluginMap: { "typescript-operations": operations, "typed-document-node": typedDocumentNode },
  });
  writeFileSync(filename, text);
}
