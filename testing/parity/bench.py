"""The Python side of bench-ml: PEFT's training steps and transformers' losses, as they come, timed.

usage: bench.py train MODEL BATCH LENGTH STEPS WARMUP
       bench.py loss MODEL TEXTS ADAPTER|-

One JSON object on standard output. Threads: OMP_NUM_THREADS.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def numbers(step: int, batch: int, length: int, vocabulary: int) -> torch.Tensor:
    """The same token ids as on the Rust side."""
    ids = [(index * 2654435761 + step * 40503) % (1 << 32) % vocabulary for index in range(batch * length)]
    return torch.tensor(ids).view(batch, length)


def train(model_folder: str, batch: int, length: int, steps: int, warmup: int) -> dict:
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95))
    milliseconds, processor, first = [], [], None
    for step in range(warmup + steps):
        ids = numbers(step, batch, length, base.config.vocab_size)
        start, used = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        loss = loss.item()
        first = first or time.time()
        if step >= warmup:
            milliseconds.append((time.perf_counter() - start) * 1e3)
            processor.append((time.process_time() - used) * 1e3)
    return {"milliseconds": milliseconds, "processor": processor, "first_step": first, "loss": loss}


def losses(model_folder: str, texts: str, adapter: str) -> dict:
    """Naive: all texts in one order, batches of 16, everything padded to the longest text."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    if adapter != "-":
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter).eval()
    all_ids = [tokenizer(text).input_ids for text in Path(texts).read_text().splitlines() if text.strip()]
    longest = max(map(len, all_ids))
    start, used, total, count = time.perf_counter(), time.process_time(), 0.0, 0
    with torch.no_grad():
        for at in range(0, len(all_ids), 16):
            some = all_ids[at : at + 16]
            ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids in some])
            mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in some])
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            values = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
            total += (values * mask[:, 1:]).double().sum().item()
            count += int(mask[:, 1:].sum())
    seconds = time.perf_counter() - start
    processor = [time.process_time() - used]
    return {"seconds": seconds, "processor": processor, "loss": total / count, "tokens": count, "mean_length": sum(map(len, all_ids)) / len(all_ids), "max_length": longest}


def main(arguments: list[str]) -> int:
    if arguments[0] == "train":
        result = train(arguments[1], *map(int, arguments[2:6]))
    elif arguments[0] == "loss":
        result = losses(*arguments[1:4])
    else:
        raise SystemExit(__doc__)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
