"""The same kind of step in plain PyTorch, for benchmarks/step.py and benchmarks/gpu.py; needs torch and torchvision.

    python benchmarks/torch_step.py --backbone=resnet50 --size=64 --batch=24

Reads a line from standard input for every step and answers with its seconds; the first line that it prints says what is
compared. A frozen teacher, a student of the same architecture, cross-entropy with smoothed labels, triplet loss with
the hardest pairs, logit and embedding distillation, SGD with momentum: no indicators, no reset, no cuts.
"""

import argparse
import contextlib
import sys
import time

import torch
import torch.nn.functional as F
import torchvision


def main(options):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = Step(options, device)
    if options.compile:
        step.compute = torch.compile(step.compute)
    for _ in range(2):
        step()
    print(f"torch {torch.__version__} on {device}", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        print(time.perf_counter() - started, flush=True)


class Step:
    def __init__(self, options, device):
        torch.manual_seed(0)
        self.teacher, self.student = (Network(options).to(device) for _ in range(2))
        self.teacher.eval().requires_grad_(False)
        self.optimizer = torch.optim.SGD(self.student.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4)
        self.images = 255 * torch.rand(options.batch, 3, options.size, options.size, device=device)
        self.labels = torch.arange(options.batch, device=device) // 4 % options.classes
        half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(options.precision)
        self.autocast = contextlib.nullcontext
        if half is not None:
            self.autocast = lambda: torch.autocast(device.type, half)
        self.scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "float16")
        self.device = device

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(self.compute()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def compute(self):
        with self.autocast():
            with torch.no_grad():
                _, taught, their_logits = self.teacher(self.images)
            features, embedding, logits = self.student(self.images)
        features, embedding, logits, taught, their_logits = (
            x.float() for x in (features, embedding, logits, taught, their_logits)
        )
        loss = F.cross_entropy(logits, self.labels, label_smoothing=0.1) + self.triplet(features)
        loss = loss + F.kl_div(F.log_softmax(logits / 2, 1), F.softmax(their_logits / 2, 1), reduction="batchmean")
        return loss + (1 - F.cosine_similarity(embedding, taught)).mean()

    def triplet(self, features):
        distances = torch.cdist(features, features, compute_mode="use_mm_for_euclid_dist")
        same = self.labels[:, None] == self.labels[None, :]
        farthest = distances.masked_fill(~same, -1).amax(1)
        nearest = distances.masked_fill(same, 1e9).amin(1)
        return F.relu(farthest - nearest + 0.35).mean()


class Network(torch.nn.Module):
    def __init__(self, options):
        super().__init__()
        self.body = getattr(torchvision.models, options.backbone)(weights=None)
        width = self.body.fc.in_features
        self.body.fc = torch.nn.Identity()
        self.embed = torch.nn.Linear(width, 512)
        self.classify = torch.nn.Linear(512, options.classes, bias=False)

    def forward(self, images):
        features = self.body((images - 127.5) / 58.0)
        embedding = self.embed(features)
        return features, embedding, self.classify(embedding)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50", help="Of torchvision.")
    parser.add_argument("--size", type=int, default=64, help="Height and width of the images.")
    parser.add_argument("--batch", type=int, default=24, help="Images of a step.")
    parser.add_argument("--classes", type=int, default=100, help="Training identities.")
    parser.add_argument("--precision", default="none", choices=("none", "float16", "bfloat16"), help="Of the networks.")
    parser.add_argument("--compile", action="store_true", help="Compile the forward pass.")
    main(parser.parse_args())
