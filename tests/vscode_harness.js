// Runs the extension of editors/vscode against a stand-in for the editor, and prints what the editor was told.
// Arguments: the folder of the extension, the command of the server as JSON, the text of a document.
"use strict";

const Module = require("node:module");
const path = require("node:path");

const [folder, command, text] = process.argv.slice(2);
const URI = {toString: () => "file:///nowhere/a.sym"};
const document = {languageId: "sym", uri: URI, version: 1, getText: () => text};
const told = {warnings: []};
const providers = {};
let diagnosed;
const diagnostics = new Promise((resolve) => (diagnosed = resolve));
const listen = () => ({dispose() {}});
const register = (kind) => (selector, provider) => {
  providers[kind] = provider;
  return {dispose() {}};
};
const value = (...names) =>
  class {
    constructor(...given) {
      names.forEach((name, k) => (this[name] = given[k]));
    }
  };

const editor = {
  Uri: {parse: (uri) => uri},
  Range: value("startLine", "startCharacter", "endLine", "endCharacter"),
  Location: value("uri", "range"),
  Hover: value("contents", "range"),
  MarkdownString: value("value"),
  CompletionItem: value("label", "kind"),
  Diagnostic: value("range", "message", "severity"),
  DiagnosticRelatedInformation: value("location", "message"),
  TextEdit: {replace: (range, newText) => ({range, newText})},
  window: {showWarningMessage: (message) => told.warnings.push(message)},
  workspace: {
    getConfiguration: () => ({get: () => JSON.parse(command)}),
    textDocuments: [document],
    onDidOpenTextDocument: listen,
    onDidCloseTextDocument: listen,
    onDidChangeTextDocument: listen,
    onDidSaveTextDocument: listen,
  },
  languages: {
    createDiagnosticCollection: () => ({set: (uri, found) => diagnosed(found), delete() {}, dispose() {}}),
    registerHoverProvider: register("hover"),
    registerDefinitionProvider: register("definition"),
    registerCompletionItemProvider: register("completion"),
    registerDocumentFormattingEditProvider: register("formatting"),
  },
};
const load = Module._load;
Module._load = (request, ...rest) => (request === "vscode" ? editor : load(request, ...rest));

async function main() {
  const extension = require(path.join(folder, "extension.js"));
  await extension.activate({subscriptions: []});
  if (told.warnings.length === 0) {
    const line = text.split("\n").length - 3;
    const position = {line, character: text.split("\n")[line].length};
    told.diagnostics = await diagnostics;
    told.hover = await providers.hover.provideHover(document, position);
    told.definition = await providers.definition.provideDefinition(document, position);
    told.completion = await providers.completion.provideCompletionItems(document, position);
    told.formatting = await providers.formatting.provideDocumentFormattingEdits(document, {tabSize: 2, insertSpaces: true});
  }
  await extension.deactivate();
  console.log(JSON.stringify(told));
}

main();
