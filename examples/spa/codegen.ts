// The configuration of GraphQL Code Generator; its command line takes this file as it is.
// #region config
export default {
  schema: "../../schema.graphql",
  documents: "operations/*.graphql",
  generates: {
    "generated.ts": {
      plugins: ["typescript-operations", "typed-document-node"],
      config: {
        scalars: { ID: "string", DateTime: "string", JSON: "Record<string, unknown>" },
        useTypeImports: true,
      },
    },
  },
};
// #endregion
