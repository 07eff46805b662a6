// What runs beside the page, so that it never stops while a model computes. The page sends
// {id, task, ...} and gets {id, result} or {id, problem}, before it perhaps {id, progress}. `runtime` makes ONNX Runtime's object.
"use strict";

(function (E) {
  E.work = function (E, runtime) {
    let ort, tokenizer;
    const sessions = {};

    const tasks = {
      // wasm: the runtime's bytes; glue: the text of its script; threads: how many it may use.
      async start({ wasm, glue, threads }) {
        ort = runtime();
        ort.env.wasm.wasmBinary = wasm;
        // Its address is made here: a page opened as a file may not share one with its worker.
        const mjs = URL.createObjectURL(new Blob([glue], { type: "text/javascript" }));
        ort.env.wasm.wasmPaths = { mjs };
        ort.env.wasm.numThreads = threads;
        ort.env.logLevel = "error";
      },

      async vocabulary({ text }) {
        tokenizer = new E.Tokenizer(text.split("\n").slice(0, -1));
      },

      // graph: bytes of an ONNX file; weights: {name: bytes} of the files that it refers to.
      async model({ name, graph, weights }) {
        const externalData = Object.entries(weights).map(([path, data]) => ({ path, data }));
        sessions[name] = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"], externalData });
      },

      // Tokens, start and end logits of every window, and the answer.
      async read({ name, question, passage, scaling, maxLength, docStride }, tell) {
        const began = performance.now();
        const windows = tokenizer.windows(question, passage, maxLength, docStride);
        for (const [done, window] of windows.entries()) {
          tell(done, windows.length);
          const made = await run(name, window);
          window.startLogits = Array.from(made.start_logits.data);
          window.endLogits = Array.from(made.end_logits.data);
        }
        tell(windows.length, windows.length);
        const answer = E.decode(windows, passage, scaling);
        return { windows, answer, milliseconds: performance.now() - began };
      },

      // All heads on one sentence: pieces, and float[L, H, T, ...] as flat arrays.
      async heads({ name, sentence, longest }) {
        const row = tokenizer.sentence(sentence, longest);
        const made = await run(name, row);
        const [L, H, T] = made.shares.dims;
        const flat = (part) => made[part].data;
        return {
          pieces: row.pieces, cut: row.cut, L, H, T, d: made.queries.dims[3],
          shares: flat("shares"), queries: flat("queries"), keys: flat("keys"), values: flat("values"),
        };
      },

      async tokens({ texts }) {
        return texts.map((text) => tokenizer.encode(text));
      },

      ...E.tasks, // of views that need no runtime
    };

    async function run(name, { ids, types }) {
      const ints = (numbers) => new ort.Tensor("int32", Int32Array.from(numbers), [numbers.length]);
      return sessions[name].run({ input_ids: ints(ids), token_type_ids: ints(types) });
    }

    Object.assign(tasks, E.searching?.({ run, tokenizer: () => tokenizer, tasks }));

    self.onmessage = async ({ data: { id, task, ...given } }) => {
      const tell = (...progress) => self.postMessage({ id, progress });
      try {
        self.postMessage({ id, result: await tasks[task](given, tell) });
      } catch (error) {
        self.postMessage({ id, problem: String(error?.message ?? error) });
      }
    };
  };
})((globalThis.Explorers ??= {}));
