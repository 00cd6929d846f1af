# Build:   docker build -t lr-lab .
# Train:   docker run --rm -it -v lr-lab-data:/app/datasets -v lr-lab-runs:/app/outputs \
#            lr-lab train.py scheduler=cosine_warm_restarts
# GPU:     the same with `docker run --gpus all` (the NVIDIA Container Toolkit on the host) and
#          device=cuda at the end. OneFlow 0.9.0 runs on compute capability 6.0 to 8.9.
# Runs:    docker run --rm -it -p 127.0.0.1:6006:6006 -v lr-lab-runs:/app/outputs \
#            lr-lab -m tensorboard.main --logdir outputs --bind_all
# Explore: docker run --rm -it -p 127.0.0.1:8501:8501 lr-lab -m scripts.explorer --address 0.0.0.0
# Check:   docker run --rm lr-lab -m scripts.doctor
# Folders of the host instead of named volumes: -v "$PWD/outputs:/app/outputs" with
# --user "$(id -u):$(id -g)", so that the files belong to you. A sweep (-m) writes to /app/multirun.
FROM python:3.10-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

# Only these two files decide about the big layer: changed code does not install anything again.
WORKDIR /app
COPY requirements.txt build-constraints.txt ./
RUN PIP_BUILD_CONSTRAINT=build-constraints.txt \
    pip install --no-cache-dir --require-hashes -r requirements.txt

# The runner may write to these folders only. Mode 1777: any --user may, as in /tmp.
RUN useradd --create-home --uid 1000 runner \
    && mkdir datasets outputs multirun \
    && chmod 1777 datasets outputs multirun
COPY . .

USER 1000
VOLUME ["/app/datasets", "/app/outputs", "/app/multirun"]
# `docker stop` then works like Ctrl-C: the run ends in order and says where it stopped.
STOPSIGNAL SIGINT
ENTRYPOINT ["python"]
CMD ["train.py", "--help"]
