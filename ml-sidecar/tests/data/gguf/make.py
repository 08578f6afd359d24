"""Writes tiny.gguf, a Llama of 2 layers in every number type that ml-sidecar reads, and what other programs read out of it.

Needs: pip install gguf==0.19.0 tokenizers numpy. Run in this folder. The expected values are those of the package `gguf`; the order of
query and key rows is written here from llama.cpp's convert_hf_to_gguf (permute), applied the other way round to what is expected.
"""
import hashlib
import json

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFReader, GGUFWriter, quants
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, MLP, VOCAB = 32, 2, 4, 2, 8, 64, 300
TEXTS = [
    "The baker sold 120 loaves before noon.",
    "Der Bäcker hatte um zwölf Uhr kein Brot mehr.",
    "パン屋は正午までに売り切れた。 🥖",
    "<|im_start|>user\nHow many?<|im_end|>",
    "  two  spaces,\ttabs\nand 3.14159",
]


def tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tok.train_from_iterator(TEXTS * 3, trainer)
    return tok


def permute(rows, heads):
    """Hugging Face's order to GGUF's."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows, heads):
    """GGUF's order to Hugging Face's."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def tensors(rng):
    def matrix(rows, columns):
        return (rng.standard_normal((rows, columns)) * 0.1).astype(np.float32)

    yield "token_embd.weight", matrix(VOCAB, HIDDEN), Q.Q8_0
    yield "output_norm.weight", 1 + matrix(1, HIDDEN)[0], Q.F32
    for layer in range(LAYERS):
        p = f"blk.{layer}."
        lossy = Q.Q4_1 if layer == 0 else Q.F16
        yield p + "attn_norm.weight", 1 + matrix(1, HIDDEN)[0], Q.F32
        yield p + "attn_q.weight", permute(matrix(HEADS * HEAD, HIDDEN), HEADS), lossy
        yield p + "attn_k.weight", permute(matrix(KV_HEADS * HEAD, HIDDEN), KV_HEADS), lossy
        yield p + "attn_v.weight", matrix(KV_HEADS * HEAD, HIDDEN), Q.Q8_0
        yield p + "attn_output.weight", matrix(HIDDEN, HEADS * HEAD), Q.F32
        yield p + "ffn_norm.weight", 1 + matrix(1, HIDDEN)[0], Q.F32
        yield p + "ffn_gate.weight", matrix(MLP, HIDDEN), lossy
        yield p + "ffn_up.weight", matrix(MLP, HIDDEN), Q.Q8_0
        yield p + "ffn_down.weight", matrix(HIDDEN, MLP), lossy


def write(tok):
    w = GGUFWriter("tiny.gguf", "llama")
    w.add_name("tiny")
    w.add_block_count(LAYERS)
    w.add_context_length(128)
    w.add_embedding_length(HIDDEN)
    w.add_feed_forward_length(MLP)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_rope_freq_base(100000.0)
    w.add_rope_dimension_count(HEAD)
    w.add_layer_norm_rms_eps(1e-5)
    model = json.loads(tok.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(vocab)
    w.add_token_types([3 if t.startswith("<|") and t.endswith("|>") else 1 for t in vocab])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_add_bos_token(False)
    for name, values, kind in tensors(np.random.default_rng(4)):
        if kind == Q.F32:
            w.add_tensor(name, values)
        else:
            w.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
}


def hugging_face(name):
    parts = name.removesuffix(".weight").split(".")
    layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    return layer + NAMES[parts[-1]] + ".weight"


def expected(tok, path="tiny.gguf", heads=HEADS, kv_heads=KV_HEADS):
    found = {}
    for tensor in GGUFReader(path).tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4")
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = unpermute(values, heads if "attn_q" in tensor.name else kv_heads)
        found[hugging_face(tensor.name)] = {
            "shape": list(values.shape),
            "sha256": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest(),
        }
    tokens = {text: tok.encode(text).ids for text in TEXTS}
    return {"tensors": found, "tokens": tokens}


if __name__ == "__main__":
    made = tokenizer()
    write(made)
    # As the file is read elsewhere: control tokens are tokens, whatever stands around them.
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    with open("tiny.json", "w", encoding="utf-8") as file:
        parts = [f"{json.dumps(key)}: {{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(part.items())) + "}"
                 for key, part in expected(made).items()]
        file.write("{" + ",\n".join(parts) + "}\n")
