#!/usr/bin/env bash
# 2 runs of genai-perf for a profile of meta-llama/Llama-3.1-8B-Instruct.
# The loads that were asked for.
# 3,214 requests; how long they take is not known beforehand.
# Results go to the folder $RESULTS (./results); an interrupted sweep goes on where it stopped.
# Every run draws new prompts: seeds come from the clock, so that the prefix cache never answers. SEED=… repeats one.
set -euo pipefail

program=genai-perf
if ! command -v "$program" >/dev/null; then
  echo "error: $program is not installed here" >&2
  echo "  install it, or run this where it is" >&2
  exit 2
fi
results=${RESULTS:-results}
seed=${SEED:-$(( $(date +%s) % 20000000 * 100 ))}
mkdir -p -- "$results"

cat > "$results/sweep.yaml" <<'MANIFEST'
apiVersion: replicast.dev/v1alpha1
kind: Sweep
metadata:
  name: llama-3-1-8b-instruct
spec:
  tool: genai-perf
  engine: triton-trtllm
  model: meta-llama/Llama-3.1-8B-Instruct
  servedModel: ensemble
  quantization: none
  gpu:
    type: H100-SXM5-80GB
    perReplica: 1
  reason: The loads that were asked for.
  runs:
  - name: 01-closed-c32-i512-o128
    concurrency: 32
    inputTokens: 512
    outputTokens: 128
    requests: 640
    warmups: 64
    result: 01-closed-c32-i512-o128/*/profile_export_genai_perf.json
  - name: 02-open-r5-i512-o128
    arrivalRate: 5
    burstiness: 1.0
    inputTokens: 512
    outputTokens: 128
    requests: 2500
    warmups: 10
    result: 02-open-r5-i512-o128/*/profile_export_genai_perf.json
MANIFEST

# Not measured: the engine compiles and captures graphs on its first requests.
warm_up() {
  local results
  results=$(mktemp -d)
  echo "warming up" >&2
  if ! genai-perf profile -m ensemble --endpoint-type kserve --backend tensorrtllm --streaming -u localhost:8001 \
    --tokenizer meta-llama/Llama-3.1-8B-Instruct --synthetic-input-tokens-mean 512 \
    --synthetic-input-tokens-stddev 0 --output-tokens-mean 128 --output-tokens-stddev 0 \
    --output-tokens-mean-deterministic --concurrency 32 --request-count 32 --warmup-request-count 1 \
    --num-dataset-entries 33 --random-seed "$((seed + 0))" --artifact-dir "$results"/01-closed-c32-i512-o128 >&2; then
    rm -rf -- "$results"
    echo "error: the warm-up failed; nothing was measured" >&2
    echo "  see what $program says above: is the engine up, and at this address?" >&2
    exit 1
  fi
  rm -rf -- "$results"
}
warm_up

failed=()
run() {
  local name=$1 result=$2
  shift 2
  if [[ -e "$results/$name.done" ]]; then
    echo "$name: measured already" >&2
    return
  fi
  echo "$name" >&2
  if "$@" >&2 && compgen -G "$results/$result" >/dev/null; then
    touch -- "$results/$name.done"
  else
    compgen -G "$results/$result" >/dev/null || echo "error: $name left no $results/$result" >&2
    failed+=("$name")
  fi
}

run 01-closed-c32-i512-o128 '01-closed-c32-i512-o128/*/profile_export_genai_perf.json' genai-perf profile -m \
  ensemble --endpoint-type kserve --backend tensorrtllm --streaming -u localhost:8001 \
  --tokenizer meta-llama/Llama-3.1-8B-Instruct --synthetic-input-tokens-mean 512 \
  --synthetic-input-tokens-stddev 0 --output-tokens-mean 128 --output-tokens-stddev 0 \
  --output-tokens-mean-deterministic --concurrency 32 --request-count 640 --warmup-request-count 64 \
  --num-dataset-entries 704 --random-seed "$((seed + 1))" --artifact-dir "$results"/01-closed-c32-i512-o128
run 02-open-r5-i512-o128 '02-open-r5-i512-o128/*/profile_export_genai_perf.json' genai-perf profile -m \
  ensemble --endpoint-type kserve --backend tensorrtllm --streaming -u localhost:8001 \
  --tokenizer meta-llama/Llama-3.1-8B-Instruct --synthetic-input-tokens-mean 512 \
  --synthetic-input-tokens-stddev 0 --output-tokens-mean 128 --output-tokens-stddev 0 \
  --output-tokens-mean-deterministic --request-rate 5 --request-count 2500 --warmup-request-count 10 \
  --num-dataset-entries 2510 --random-seed "$((seed + 2))" --artifact-dir "$results"/02-open-r5-i512-o128 -- \
  --request-distribution poisson

if (( ${#failed[@]} )); then
  echo "error: these runs failed: ${failed[*]}" >&2
  echo "  see what $program says above; run this again to repeat only them" >&2
  exit 1
fi
echo "done; now make the profile:" >&2
printf '%s %q/%s
' 'planner profile import --engine triton-trtllm --model meta-llama/Llama-3.1-8B-Instruct --gpu H100-SXM5-80GB \
  --gpus-per-replica 1 --quantization none -O profile.yaml' "$results" '*/*/profile_export_genai_perf.json'
