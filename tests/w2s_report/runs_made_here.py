"""Folders as the code of openai/weak-to-strong and of EleutherAI/w2s leaves them, made small."""

import json

import numpy as np
import pyarrow as pa


def saved(folder, **columns):
    """As ``Dataset.save_to_disk``: one arrow stream, and a state that names it."""
    folder.mkdir(parents=True)
    table = pa.table({name: values.tolist() for name, values in columns.items()})
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")


def written(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2))


def simple(
    root, accuracies, *, strong, students, data="sciq", seeds=(0,), n_test=5000, labels=4000
):
    """``train_simple.py``: models on true labels, and students of some of them.

    Accuracies are by model, ``strong`` is the largest; students by (teacher, loss). With several
    seeds each accuracy moves by a point to either side.
    """
    rng = np.random.default_rng(0)
    folder = root / "default"
    for place, seed in enumerate(seeds):
        moved = 0.01 * (place - (len(seeds) - 1) / 2)
        base = {"batch_size": 32, "ds_name": data, "loss": "xent", "n_docs": 2 * labels,
                "n_test_docs": n_test, "epochs": 2, "seed": seed}  # fmt: skip
        configs = {}
        for model, accuracy in accuracies.items():
            configs[model] = config = {**base, "model_size": model, "lr": 5e-5}
            own = folder / f"dn={data}-l=xent-ms={model.split('/')[-1]}-s={seed}"
            written(own / "config.json", config)
            written(own / "results_summary.json", {"accuracy": accuracy + moved})
            (own / "results.pkl").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
            (own / "log.jsonl").write_text('{"step": 0, "loss": 0.7}\n')
            truth = rng.permutation(labels) % 2
            right = rng.random(labels) < accuracy
            soft = np.where(right == (truth == 1), 0.8, 0.3)
            saved(own / "weak_labels", txt=np.array(["a"] * labels), gt_label=truth,
                  hard_label=(soft > 0.5).astype(int), acc=right,
                  soft_label=np.column_stack([1 - soft, soft]))  # fmt: skip
        for (teacher, loss), accuracy in students.items():
            config = {**base, "loss": loss, "model_size": strong, "lr": 5e-5}
            own = folder / f"dn={data}-l={loss}-ms={strong}-wms={teacher.split('/')[-1]}-s={seed}"
            more = {"weak_model_size": teacher, "weak_model": configs[teacher]}
            written(own / "config.json", config | more)
            written(own / "results_summary.json", {"accuracy": accuracy + moved})
    return folder


def two_models(root):
    """``train_weak_to_strong.py``."""
    name = "Qwen_Qwen-1_8B_gpt2-xl"
    found = {
        "weak_acc": 0.7,
        "strong_acc": 0.9,
        "transfer_acc_xent": 0.8,
        "transfer_acc_logconf": 1,
    }
    written(root / f"{name}.results_summary.json", found)
    for part in ("weak_model_gt/Qwen_Qwen-1_8B", "strong_model_gt/gpt2-xl"):
        written(root / part / "log.jsonl", {"step": 0})
        (root / part / "results.pkl").write_bytes(b"\x80\x04N.")
    return root


def eleuther(root, *, teacher=0.7, student=0.8, strong=0.9, n_val=500, rounds=0, run="my_run"):
    """EleutherAI/w2s; answers of teacher and students on the validation inputs."""
    config = {"weak_model_name": "Qwen/Qwen1.5-0.5B", "dataset": "boolq", "n_train": 8000,
              "strong_model_name": "meta-llama/Meta-Llama-3-8B", "n_val": n_val, "n_test": 5000,
              "shared_folder": "shared", "loss_name": "logconf", "s2s_iters": rounds}  # fmt: skip
    rng = np.random.default_rng(1)
    truth = rng.permutation(n_val) % 2
    models = {"shared/boolq/weak": teacher, "shared/boolq/strong": strong,
              f"{run}/boolq/w2s": student}  # fmt: skip
    models |= {f"{run}/boolq/s2s-{i}": student + 0.01 * (i + 1) for i in range(rounds)}
    for where, accuracy in models.items():
        if (root / where).exists():
            continue
        metrics = {"eval_loss": 0.5, "eval_accuracy": accuracy, "eval_auroc": 0.9, "epoch": 3.0}
        written(root / where / "results.json", metrics)
        written(root / where / "config.json", {**config, "transfer": "shared" not in where})
        if not where.endswith("strong"):
            right = rng.random(n_val) < accuracy
            soft = np.where(right == (truth == 1), 0.9, 0.2) + 0.05 * rng.random(n_val)
            saved(root / where / "predictions/val", txt=np.arange(n_val).astype(str),
                  labels=truth, gt_labels=truth, soft_pred=soft)  # fmt: skip
    return root
