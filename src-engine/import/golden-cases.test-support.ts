import type { ImportOptions } from "./import-model.ts";

/** A file in ../fixtures with another framework's numbers beside it: see bench/peers. */
export interface GoldenCase {
  readonly name: string;
  /** What is of interest in it. */
  readonly kind: string;
  /** Of its free dimensions. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Other inputs than the one that takes data. */
  readonly fixed?: Readonly<Record<string, number | "positions">>;
  /** The output that the framework's numbers are of, if there are several. */
  readonly output?: string;
  /** What its framework froze, and what of that it trained all the same. */
  readonly freeze?: readonly string[];
  readonly train?: readonly string[];
  /** Why ONNX Runtime's inference build does not run the file. */
  readonly notRun?: string;
}

const SIZES = { batch: 2, sequence: 6 };

/** Every file that the importer is held against a framework by. */
export const GOLDEN_CASES: readonly GoldenCase[] = [
  { name: "mlp", kind: "a perceptron", sizes: { batch: 5 } },
  { name: "llama-tied", kind: "Llama, TorchScript exporter, tied", sizes: SIZES },
  { name: "llama-dynamo", kind: "Llama, dynamo exporter, weights transposed and renamed" },
  { name: "gpt2-tied", kind: "GPT-2, TorchScript exporter, tied", sizes: SIZES },
  { name: "gpt2-dynamo", kind: "GPT-2, dynamo exporter", sizes: SIZES },
  { name: "resnet", kind: "ResNet in training: batch statistics", notRun: "batch statistics" },
  { name: "resnet-eval", kind: "ResNet in inference" },
  { name: "bert", kind: "BERT with its loss, TorchScript exporter", sizes: SIZES },
  { name: "bert-dynamo", kind: "BERT with its loss, dynamo exporter" },
  { name: "vit", kind: "ViT, TorchScript exporter", sizes: SIZES },
  { name: "vit-dynamo", kind: "ViT, dynamo exporter" },
  { name: "attentive", kind: "Attention and its brothers of operator set 23" },
  { name: "images", kind: "a U-net" },
  { name: "keras-cnn", kind: "Keras, tf2onnx: convolutions" },
  { name: "keras-text", kind: "Keras, tf2onnx: a transformer" },
  { name: "hf-llama", kind: "Transformers' Llama, rotary tables folded" },
  { name: "hf-qwen3", kind: "Transformers' Qwen 3, tied and stored twice" },
  { name: "hf-gemma3", kind: "Transformers' Gemma 3, norms of 1 + weight folded" },
  { name: "hf-gpt2", kind: "Transformers' GPT-2, biases of 0 left out and put back" },
  { name: "waves", kind: "a folded table, a buffer, a learned mask token" },
  { name: "alibi", kind: "a buffer of -inf and slopes" },
  { name: "loop", kind: "a written-out loop, dynamo exporter" },
  { name: "loop-old", kind: "a written-out loop that shares a bias" },
  { name: "tied-folded", kind: "a tied matrix stored twice, dynamo exporter" },
  { name: "tied-old", kind: "a tied matrix stored twice, TorchScript exporter", sizes: SIZES },
  { name: "encoder", kind: "copied layers whose equal tensors were merged" },
  { name: "lstm", kind: "an LSTM of two layers, dynamo exporter" },
  { name: "lstm-old", kind: "an LSTM in both directions, TorchScript exporter" },
  { name: "gru", kind: "a GRU in both directions, reset after the product" },
  { name: "gru-state", kind: "a GRU that begins with a learned state" },
  { name: "rnn", kind: "an RNN, written out by the dynamo exporter" },
  { name: "rnn-old", kind: "an RNN in both directions, TorchScript exporter" },
  { name: "lstm-packed", kind: "an LSTM over texts of different lengths" },
  {
    name: "lora",
    kind: "frozen layers with low-rank adapters, whose names the exporter changed",
    freeze: ["*"],
    train: ["*lora*", "head.*"],
  },
  { name: "lists", kind: "a list of tensors that is read at fixed places" },
  { name: "bag", kind: "an EmbeddingBag: Loop over a list" },
  { name: "scan", kind: "a loop over places as Scan" },
  { name: "turns", kind: "a loop of a scripted model as Loop", sizes: SIZES },
  {
    name: "cached",
    kind: "a cache, mask and positions as inputs, present as outputs (Optimum)",
    sizes: {
      batch_size: 2,
      sequence_length: 6,
      past_sequence_length: 0,
      "past_sequence_length + sequence_length": 6,
    },
    fixed: {
      attention_mask: 1,
      position_ids: "positions",
      "past_key_values.0.key": 0,
      "past_key_values.0.value": 0,
    },
    output: "logits",
  },
  { name: "pooled", kind: "a pooling over axes of window 1", notRun: "poolings over four axes" },
  { name: "functions", kind: "functions inside of the file" },
  { name: "constants", kind: "weights in Constant nodes" },
];

/** How its file is imported. */
export function optionsOf({ sizes = {}, fixed = {}, output, freeze, train }: GoldenCase): ImportOptions {
  return {
    sizes,
    fixed,
    ...(output === undefined ? {} : { outputs: [output] }),
    ...(freeze === undefined ? {} : { freeze }),
    ...(train === undefined ? {} : { train }),
  };
}
