#!/usr/bin/env bash
# 2 runs of guidellm for a profile of meta-llama/Llama-3.1-8B-Instruct.
# The loads that were asked for.
# 3,214 requests; how long they take is not known beforehand.
# Results go to the folder $RESULTS (./results); an interrupted sweep goes on where it stopped.
# Every run draws new prompts: seeds come from the clock, so that the prefix cache never answers. SEED=… repeats one.
set -euo pipefail

program=guidellm
if ! command -v "$program" >/dev/null; then
  echo "error: $program is not installed here" >&2
  echo "  install it, or run this where it is" >&2
  exit 2
fi
results=${RESULTS:-results}
seed=${SEED:-$(( $(date +%s) % 20000000 * 100 ))}
mkdir -p -- "$results"

export GUIDELLM__MAX_WORKER_PROCESSES=1

cat > "$results/sweep.yaml" <<'MANIFEST'
apiVersion: replicast.dev/v1alpha1
kind: Sweep
metadata:
  name: llama-3-1-8b-instruct
spec:
  tool: guidellm
  engine: vllm
  model: meta-llama/Llama-3.1-8B-Instruct
  servedModel: meta-llama/Llama-3.1-8B-Instruct
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
    result: 01-closed-c32-i512-o128.json
  - name: 02-open-r5-i512-o128
    arrivalRate: 5
    burstiness: 1.0
    inputTokens: 512
    outputTokens: 128
    requests: 2500
    warmups: 10
    result: 02-open-r5-i512-o128.json
MANIFEST

# Not measured: the engine compiles and captures graphs on its first requests.
warm_up() {
  local results
  results=$(mktemp -d)
  echo "warming up" >&2
  if ! guidellm run \
    --backend kind=openai_http,target=http://localhost:8000,model=meta-llama/Llama-3.1-8B-Instruct,request_format=/v1/completions \
    --profile kind=concurrent,streams=32,warmup.value=1,warmup.mode=requests \
    --constraint kind=max_requests,count=33 --tokenizer kind=hf_auto,model=meta-llama/Llama-3.1-8B-Instruct \
    --data kind=synthetic_text,prompt_tokens=512,output_tokens=128 --seed kind=static,value="$((seed + 0))" \
    --output kind=json,path="$results"/01-closed-c32-i512-o128.json --disable-console-interactive >&2; then
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

run 01-closed-c32-i512-o128 01-closed-c32-i512-o128.json guidellm run \
  --backend kind=openai_http,target=http://localhost:8000,model=meta-llama/Llama-3.1-8B-Instruct,request_format=/v1/completions \
  --profile kind=concurrent,streams=32,warmup.value=64,warmup.mode=requests \
  --constraint kind=max_requests,count=704 --tokenizer kind=hf_auto,model=meta-llama/Llama-3.1-8B-Instruct \
  --data kind=synthetic_text,prompt_tokens=512,output_tokens=128 --seed kind=static,value="$((seed + 1))" \
  --output kind=json,path="$results"/01-closed-c32-i512-o128.json --disable-console-interactive
run 02-open-r5-i512-o128 02-open-r5-i512-o128.json guidellm run \
  --backend kind=openai_http,target=http://localhost:8000,model=meta-llama/Llama-3.1-8B-Instruct,request_format=/v1/completions \
  --profile kind=poisson,rate=5,warmup.value=10,warmup.mode=requests --constraint kind=max_requests,count=2510 \
  --tokenizer kind=hf_auto,model=meta-llama/Llama-3.1-8B-Instruct \
  --data kind=synthetic_text,prompt_tokens=512,output_tokens=128 --seed kind=static,value="$((seed + 2))" \
  --output kind=json,path="$results"/02-open-r5-i512-o128.json --disable-console-interactive

if (( ${#failed[@]} )); then
  echo "error: these runs failed: ${failed[*]}" >&2
  echo "  see what $program says above; run this again to repeat only them" >&2
  exit 1
fi
echo "done; now make the profile:" >&2
printf '%s %q/%s
' 'planner profile import --engine vllm --model meta-llama/Llama-3.1-8B-Instruct --gpu H100-SXM5-80GB \
  --gpus-per-replica 1 --quantization none -O profile.yaml' "$results" '*.json'
