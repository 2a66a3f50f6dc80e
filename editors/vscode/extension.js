// Starts the language server of qecompile and passes questions and answers between it and the editor.
"use strict";

const vscode = require("vscode");
const {Client} = require("./client.js");

const SELECTOR = {language: "sym"};
let client;

async function activate(context) {
  const found = vscode.languages.createDiagnosticCollection("sym");
  const handlers = {
    "textDocument/publishDiagnostics": ({uri, diagnostics}) =>
      found.set(vscode.Uri.parse(uri), diagnostics.map(asDiagnostic)),
  };
  const command = vscode.workspace.getConfiguration("sym").get("server");
  const onExit = (why) => {
    if (client) vscode.window.showWarningMessage(`${command.join(" ")}: ${why}. See the setting "sym.server".`);
    client = undefined;
  };
  client = new Client(command, handlers, onExit);
  context.subscriptions.push(found);
  try {
    await client.request("initialize", {processId: process.pid, rootUri: null, capabilities: {}});
  } catch {
    return; // onExit has told why
  }
  client.notify("initialized", {});
  context.subscriptions.push(...followDocuments(found), ...answerQuestions());
}

async function deactivate() {
  const ending = client;
  client = undefined;
  if (!ending) return;
  await ending.request("shutdown", null).catch(() => {});
  ending.notify("exit", null);
}

function followDocuments(found) {
  const tell = (method, document, params) => {
    if (document.languageId === "sym") client?.notify(`textDocument/${method}`, params(document));
  };
  const open = (document) =>
    tell("didOpen", document, ({uri, version}) => ({
      textDocument: {uri: uri.toString(), languageId: "sym", version, text: document.getText()},
    }));
  const close = (document) => {
    tell("didClose", document, identify);
    found.delete(document.uri);
  };
  const change = ({document}) =>
    tell("didChange", document, ({uri, version}) => ({
      textDocument: {uri: uri.toString(), version},
      contentChanges: [{text: document.getText()}],
    }));
  vscode.workspace.textDocuments.forEach(open);
  return [
    vscode.workspace.onDidOpenTextDocument(open),
    vscode.workspace.onDidCloseTextDocument(close),
    vscode.workspace.onDidChangeTextDocument(change),
    vscode.workspace.onDidSaveTextDocument((document) => tell("didSave", document, identify)),
  ];
}

function answerQuestions() {
  const ask = (method, document, params) =>
    client?.request(`textDocument/${method}`, {...identify(document), ...params});
  const at = ({line, character}) => ({position: {line, character}});
  return [
    vscode.languages.registerHoverProvider(SELECTOR, {
      async provideHover(document, position) {
        const hover = await ask("hover", document, at(position));
        return hover && new vscode.Hover(new vscode.MarkdownString(hover.contents.value), asRange(hover.range));
      },
    }),
    vscode.languages.registerDefinitionProvider(SELECTOR, {
      async provideDefinition(document, position) {
        const places = (await ask("definition", document, at(position))) ?? [];
        return places.map(({uri, range}) => new vscode.Location(vscode.Uri.parse(uri), asRange(range)));
      },
    }),
    vscode.languages.registerCompletionItemProvider(SELECTOR, {
      async provideCompletionItems(document, position) {
        const list = await ask("completion", document, at(position));
        return (list?.items ?? []).map(({label, kind, detail}) =>
          Object.assign(new vscode.CompletionItem(label, kind - 1), {detail})); // the editor counts kinds from 0
      },
    }),
    vscode.languages.registerDocumentFormattingEditProvider(SELECTOR, {
      async provideDocumentFormattingEdits(document, {tabSize, insertSpaces}) {
        const edits = (await ask("formatting", document, {options: {tabSize, insertSpaces}})) ?? [];
        return edits.map(({range, newText}) => vscode.TextEdit.replace(asRange(range), newText));
      },
    }),
  ];
}

function identify(document) {
  return {textDocument: {uri: document.uri.toString()}};
}

function asRange({start, end}) {
  return new vscode.Range(start.line, start.character, end.line, end.character);
}

function asDiagnostic({range, message, severity, code, source, relatedInformation}) {
  const diagnostic = new vscode.Diagnostic(asRange(range), message, severity - 1);
  const related = (relatedInformation ?? []).map(({location, message}) =>
    new vscode.DiagnosticRelatedInformation(
      new vscode.Location(vscode.Uri.parse(location.uri), asRange(location.range)), message));
  return Object.assign(diagnostic, {code, source, relatedInformation: related});
}

module.exports = {activate, deactivate};
