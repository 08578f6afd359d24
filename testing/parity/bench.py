"""The Python side of bench-ml: PEFT's training steps and transformers' losses, as they come, timed.

usage: bench.py make embedded|smollm2 CASE CORPUS TEXTS    a random model of that shape, and texts as its tokens
       bench.py train CASE BATCH LENGTH STEPS WARMUP
       bench.py loss CASE adapter|base

A case is a folder as twin.py makes them: model, adapter, texts.json. One JSON object on standard output. Threads: OMP_NUM_THREADS.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make(shape: str, case: Path, corpus: Path, texts: Path) -> dict:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(20240607)
    if shape == "embedded":
        model = Qwen2ForCausalLM(Qwen2Config(hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=8,
                                             num_key_value_heads=2, vocab_size=4096, tie_word_embeddings=True, initializer_range=0.05))
    else:
        model = LlamaForCausalLM(LlamaConfig(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                                             num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True, rope_theta=100000.0,
                                             initializer_range=0.04, max_position_embeddings=8192))
    model.save_pretrained(case / "model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train([str(file) for file in sorted(corpus.glob("*.txt"))],
                    trainers.BpeTrainer(vocab_size=4096, initial_alphabet=alphabet, show_progress=False))
    ids = [tokenizer.encode(text).ids for text in texts.read_text().splitlines() if text.strip()]
    (case / "texts.json").write_text(json.dumps({"loss_texts": ids}))
    return {}


def numbers(step: int, batch: int, length: int, vocabulary: int) -> torch.Tensor:
    """The same token ids as on the Rust side."""
    ids = [(index * 2654435761 + step * 40503) % (1 << 32) % vocabulary for index in range(batch * length)]
    return torch.tensor(ids).view(batch, length)


class Clock:
    """Measures a part of the work: milliseconds, those of processors, and those for which threads waited for one that others used."""

    def __init__(self) -> None:
        self.waited, self.processor, self.start = waited(), time.process_time(), time.perf_counter()

    def part(self, kind: int) -> list[float]:
        took, used = time.perf_counter() - self.start, time.process_time() - self.processor
        return [kind, took * 1e3, used * 1e3, waited() - self.waited]


def waited() -> float:
    return sum(int(file.read_text().split()[1]) for file in Path("/proc/self/task").glob("*/schedstat")) / 1e6


def train(case: Path, batch: int, length: int, steps: int, warmup: int) -> dict:
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(case / "model", dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95))
    parts, first = [], None
    for step in range(warmup + steps):
        ids = numbers(step, batch, length, base.config.vocab_size)
        clock = Clock()
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        loss = loss.item()
        first = first or time.time()
        if step >= warmup:
            parts.append(clock.part(0))
    return {"parts": parts, "first_step": first, "loss": loss}


def losses(case: Path, with_adapter: bool) -> dict:
    """Naive: all texts in one order, batches of 16, everything padded to the longest text."""
    model = AutoModelForCausalLM.from_pretrained(case / "model", dtype=torch.float32).eval()
    if with_adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, case / "adapter").eval()
    texts = json.loads((case / "texts.json").read_text())["loss_texts"]
    longest = max(map(len, texts))
    parts, total, count = [], 0.0, 0
    with torch.no_grad():
        for at in range(0, len(texts), 16):
            clock, some = Clock(), texts[at : at + 16]
            ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids in some])
            mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in some])
            logits = model(input_ids=ids, attention_mask=mask).logits.float()
            # As transformers does it: labels are shifted, not logits. (Along any dimension but the last, softmax loses three digits.)
            labels = torch.nn.functional.pad(ids.masked_fill(mask == 0, -100), (0, 1), value=-100)[:, 1:]
            values = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100)
            values.double().sum().item()
            count += int(mask[:, 1:].sum())
            parts.append(clock.part(0 if len(some) == 16 else 1))
            # Not timed: the loss to compare with, by a softmax in FP64.
            for text, of_text in zip(some, logits):
                at_end = torch.tensor(text[1:], dtype=torch.long)
                total += torch.nn.functional.cross_entropy(of_text[: len(text) - 1].double(), at_end, reduction="sum").item()
    return {"parts": parts, "loss": total / count, "tokens": count}


def main(arguments: list[str]) -> int:
    if arguments[0] == "make":
        result = make(arguments[1], *map(Path, arguments[2:5]))
    elif arguments[0] == "train":
        result = train(Path(arguments[1]), *map(int, arguments[2:6]))
    elif arguments[0] == "loss":
        result = losses(Path(arguments[1]), arguments[2] == "adapter")
    else:
        raise SystemExit(__doc__)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
