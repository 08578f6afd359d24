"""What transformers and PEFT compute on tiny random checkpoints; the Rust is compared with it.

usage: twin.py cases FOLDER                      checkpoints and results, in FOLDER/parity-VERSION, unless they are there
       twin.py adapter CHECKPOINT ADAPTER OUT    logits of an adapter that somebody else exported
       twin.py losses CHECKPOINT ADAPTER TEXTS OUT
                                                 losses of texts (lists of tokens, JSON) without and with such an adapter

Every case is a folder: model (a checkpoint as save_pretrained writes it), adapter (PEFT's), results.safetensors, texts.json.
"""

import fcntl
import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS = 3
TEXTS = [
    "Hello, world!",
    "def f(x):\n    return x ** 2  # squared",
    "Grüße aus Köln, 12,50 € bitte.",
    "Мир и труд 1234567890",
    "速い茶色の狐は怠け者の犬を飛び越える。",
    "naïve café — “quotes” … 🙂🚀 e\u0301",
    "   leading and trailing   ",
    "<|end|> inside a text",
    "",
]


def cases() -> dict[str, dict]:
    common = {"hidden_size": 64, "intermediate_size": 112, "num_hidden_layers": 3, "initializer_range": 0.15, "vocab_size": 320}
    llama3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    return {
        "qwen2-tied-bias": {"config": Qwen2Config(**common, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
                                                  eos_token_id=0, bos_token_id=None)},
        "llama-gqa-scaled": {"config": LlamaConfig(**common, num_attention_heads=4, num_key_value_heads=2, head_dim=24,
                                                   rope_parameters=llama3, max_position_embeddings=512, tie_word_embeddings=False,
                                                   eos_token_id=0, bos_token_id=None)},
        "qwen2-sharded-bf16": {"config": Qwen2Config(**common, num_attention_heads=8, num_key_value_heads=1, tie_word_embeddings=False,
                                                     eos_token_id=0, bos_token_id=None), "shard": "120KB", "dtype": torch.bfloat16},
    }


def old_style(config: Path) -> None:
    """The same config as transformers 4 wrote it."""
    fields = json.loads(config.read_text())
    rope = fields.pop("rope_parameters")
    fields["rope_theta"] = rope.pop("rope_theta")
    fields["rope_scaling"] = rope if rope.get("rope_type") != "default" else None
    config.write_text(json.dumps(fields))


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["the cat and the dog and the hat, the end of the day"] * 4, trainer)
    return made


def random_model(config, generator: torch.Generator):
    kind = Qwen2ForCausalLM if isinstance(config, Qwen2Config) else LlamaForCausalLM
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(noise * 0.3)
            elif "norm" in name:
                parameter.copy_(1 + noise * 0.2)
            else:
                parameter.copy_(noise * 0.15)
    return model


def lora(model, generator: torch.Generator):
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def factors(model) -> dict[str, torch.Tensor]:
    return {name.replace(".default", ""): parameter for name, parameter in model.named_parameters() if "lora_" in name}


def train(model, batches: list[torch.Tensor], results: dict[str, torch.Tensor]) -> None:
    parameters = list(factors(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        losses.append(loss.item())
        if len(losses) == 1:
            results.update({f"gradient.{name}": value.grad.clone() for name, value in factors(model).items()})
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    results["train.losses"] = torch.tensor(losses, dtype=torch.float64)
    results.update({f"trained.{name}": value.detach().clone() for name, value in factors(model).items()})
    model.eval()


def text_losses(model, texts: list[list[int]]) -> torch.Tensor:
    """Sums of the losses, each text alone: no padding, no batching."""
    sums = []
    with torch.no_grad():
        for text in texts:
            logits = model(input_ids=torch.tensor([text])).logits[0, :-1].double()
            sums.append(torch.nn.functional.cross_entropy(logits, torch.tensor(text[1:]), reduction="sum").item())
    return torch.tensor(sums, dtype=torch.float64)


def make_case(folder: Path, case: dict) -> None:
    generator = torch.Generator().manual_seed(20240607)
    config = case["config"]
    made = tokenizer()
    # Attention: what transformers takes by default (scaled_dot_product_attention).
    random = random_model(config, generator).to(case.get("dtype", torch.float32))
    random.save_pretrained(folder / "model", max_shard_size=case.get("shard", "5GB"))
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(folder / "model")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()

    def draw(*shape: int) -> torch.Tensor:
        return torch.randint(0, config.vocab_size, shape, generator=generator)

    results = {"ids": draw(200)}
    batches = [draw(4, 24) for _ in range(STEPS)]
    results["batches"] = torch.stack(batches)
    texts = [draw(length).tolist() for length in (2, 3, 31, 31, 7, 64, 1, 90, 17, 64, 5, 40)]
    with torch.no_grad():
        results["logits.base"] = model(input_ids=results["ids"][None]).logits[0]
    adapted = lora(model, generator)
    adapted.save_pretrained(folder / "adapter")
    with torch.no_grad():
        results["logits.adapter"] = adapted(input_ids=results["ids"][None]).logits[0]
    results["text.losses"] = text_losses(adapted, [text for text in texts if len(text) > 1])
    train(adapted, batches, results)
    save_file({name: value.contiguous() for name, value in results.items()}, folder / "results.safetensors")
    encoded = [{"text": text, "ids": made.encode(text).ids} for text in TEXTS]
    (folder / "texts.json").write_text(json.dumps({"loss_texts": texts, "tokenizer": encoded}))
    if "scaled" in folder.name:
        old_style(folder / "model" / "config.json")


def adapter_logits(checkpoint: str, adapter: str, ids: Path, out: str) -> None:
    base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    with torch.no_grad():
        logits = model(input_ids=load_file(ids)["ids"][None]).logits[0]
    save_file({"logits": logits.contiguous()}, out)


def losses_of_texts(checkpoint: str, adapter: str, texts: Path, out: str) -> None:
    base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    texts = json.loads(texts.read_text())
    before = text_losses(base, texts)
    save_file({"before": before, "after": text_losses(PeftModel.from_pretrained(base, adapter).eval(), texts)}, out)


def make_cases(folder: Path) -> None:
    """One process makes them, others wait. A folder is there only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / ("parity-" + hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12])
    with open(folder / "parity.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return
        unfinished = folder / "parity-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, case in cases().items():
            make_case(unfinished / name, case)
        unfinished.rename(made)


def main(arguments: list[str]) -> int:
    torch.set_num_threads(1)
    if arguments[0] == "cases":
        make_cases(Path(arguments[1]))
    elif arguments[0] == "adapter":
        checkpoint = Path(arguments[1])
        adapter_logits(str(checkpoint), arguments[2], checkpoint.parent / "results.safetensors", arguments[3])
    elif arguments[0] == "losses":
        losses_of_texts(arguments[1], arguments[2], Path(arguments[3]), arguments[4])
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
