"""The flags of the embedded engine, one row each, under llama-server's names.

Names and meaning are llama.cpp's (tools/server/README.md there). A flag that is missing here is
refused like any unknown one, rather than accepted and ignored.
"""

from __future__ import annotations

from workers.runner.embedded import stores
from workers.runner.embedded.flags import Flag
from workers.runner.embedded.rows import (
    in_section,
    integer,
    member,
    numbers,
    path,
    real,
    recommended,
    switch,
    texts,
    valued,
    words,
)

_FLASH_ATTENTION = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
_ROPE_SCALING = {"none": "NONE", "linear": "LINEAR", "yarn": "YARN"}
_SPLIT_MODES = {"none": "NONE", "layer": "LAYER", "row": "ROW", "tensor": "TENSOR"}
_POOLING = {"none": "NONE", "mean": "MEAN", "cls": "CLS", "last": "LAST", "rank": "RANK"}
_CACHE_TYPES = {
    word: word.upper()
    for word in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
}
_LOAD_MODES = {
    "auto": "AUTO",
    "none": "NONE",
    "mmap": "MMAP",
    "mlock": "MLOCK",
    "mmap+mlock": "MMAP_MLOCK",
    "dio": "DIRECT_IO",
}
_REASONING_FORMATS = {
    "none": "NONE",
    "auto": "AUTO",
    "deepseek": "DEEPSEEK",
    "deepseek-legacy": "DEEPSEEK_LEGACY",
}

# fmt: off
_COMMON = (
    path("-m --model FNAME", "model.path", "none", "MODEL",
        "the GGUF file to load; of a split model the first shard"),
    integer("-t --threads N", "cpuparams.n_threads", "-1", "THREADS",
        "CPU threads for generation; -1 takes as many as there are cores"),
    integer("-tb --threads-batch N", "cpuparams_batch.n_threads", "same as --threads",
        "THREADS_BATCH", "CPU threads for prompts and batches"),
    integer("-c --ctx-size N", stores.context_size, "0", "CTX_SIZE",
        "context in tokens, shared by all slots; 0 takes the model's own", minimum=0),
    integer("-n --predict --n-predict N", "n_predict", "-1", "N_PREDICT",
        "most tokens of one answer; -1 is no limit"),
    integer("-b --batch-size N", "n_batch", "2048", "BATCH",
        "most tokens that are submitted at once", minimum=1),
    integer("-ub --ubatch-size N", "n_ubatch", "512", "UBATCH",
        "most tokens that are computed at once", minimum=1),
    member("-fa --flash-attn", "flash_attn_type", "auto", "FLASH_ATTN",
        "Flash Attention", "llama_flash_attn_type", _FLASH_ATTENTION),
    member("--rope-scaling", "rope_scaling_type", "as the model says", "ROPE_SCALING_TYPE",
        "how positions beyond the trained context are scaled", "llama_rope_scaling_type",
        _ROPE_SCALING),
    real("--rope-freq-base N", "rope_freq_base", "from the model", "ROPE_FREQ_BASE",
        "base frequency of the rotary embedding"),
    real("--rope-freq-scale N", "rope_freq_scale", "from the model", "ROPE_FREQ_SCALE",
        "factor on the rotary frequency; 0.5 doubles the context"),
    integer("--yarn-orig-ctx N", "yarn_orig_ctx", "0", "YARN_ORIG_CTX",
        "context that the model was trained with", minimum=0),
    switch("--swa-full", "swa_full", "disabled", "SWA_FULL",
        "keep the whole cache of sliding-window layers"),
    switch("-kvo --kv-offload", "no_kv_offload", "enabled", "KV_OFFLOAD",
        "keep the KV cache on the GPU", no="-nkvo --no-kv-offload", inverted=True),
    member("-ctk --cache-type-k", "cache_type_k", "f16", "CACHE_TYPE_K",
        "data type of the K cache", "ggml_type", _CACHE_TYPES),
    member("-ctv --cache-type-v", "cache_type_v", "f16", "CACHE_TYPE_V",
        "data type of the V cache", "ggml_type", _CACHE_TYPES),
    member("-lm --load-mode", "load_mode", "auto", "LOAD_MODE",
        "how the file is brought into memory", "llama_load_mode", _LOAD_MODES),
    valued("-ngl --gpu-layers --n-gpu-layers N", "n_gpu_layers", "auto", "N_GPU_LAYERS",
        "layers that are kept in VRAM: a number, 'auto' or 'all'",
        kind="integer", parse=stores.layers),
    member("-sm --split-mode", "split_mode", "layer", "SPLIT_MODE",
        "how a model is split over several GPUs", "llama_split_mode", _SPLIT_MODES),
    valued("-ts --tensor-split N0,N1,N2,...", stores.tensor_split, "by free memory", "TENSOR_SPLIT",
        "share of the model for each GPU, as in 3,1", kind="list", parse=numbers),
    integer("-mg --main-gpu INDEX", "main_gpu", "0", "MAIN_GPU",
        "the GPU for the whole model (split mode none) or for intermediate results (row)",
        minimum=0),
    words("-fit --fit", stores.fit, "on", "FIT",
        "adjust what is not given so that the model fits in the device's memory", "on", "off"),
    valued("-fitt --fit-target MiB0,MiB1,MiB2,...", stores.fit_target, "1024", "FIT_TARGET",
        "memory that --fit leaves free on each device", kind="list", parse=numbers),
    integer("-fitc --fit-ctx N", "fit_params_min_ctx", "4096", "FIT_CTX",
        "smallest context that --fit may choose", minimum=0),
    valued("--lora FNAME", stores.lora, "none", "",
        "LoRA adapters, divided by commas", kind="list", parse=texts),
    switch("-v --log-verbose --verbose", stores.log_everything, "disabled", "",
        "log everything there is"),
    integer("-lv --log-verbosity --verbosity N", "verbosity", "3", "LOG_VERBOSITY",
        "log up to this level: 1 errors, 2 warnings, 3 information, 4 traces, 5 debugging",
        minimum=0),
)

_SAMPLING = (
    recommended(valued("--samplers SAMPLERS", "sampling.samplers",
        "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature", "",
        "the samplers in their order, divided by semicolons"), "SAMPLERS"),
    valued("-s --seed SEED", "sampling.seed", "-1", "",
        "random seed; -1 takes a new one each time", kind="integer", parse=stores.seed),
    recommended(real("--temperature --temp N", "sampling.temp", "0.8", "TEMPERATURE",
        "temperature; 0 always takes the likeliest token"), "TEMP"),
    recommended(integer("--top-k N", "sampling.top_k", "40", "TOP_K",
        "choose among this many likeliest tokens; 0 is off"), "TOP_K"),
    recommended(real("--top-p N", "sampling.top_p", "0.95", "TOP_P",
        "choose among the likeliest tokens of this joint probability; 1.0 is off"), "TOP_P"),
    recommended(real("--min-p N", "sampling.min_p", "0.05", "MIN_P",
        "smallest probability, relative to the likeliest token; 0.0 is off"), "MIN_P"),
    real("--typical-p --typical N", "sampling.typ_p", "1.0", "",
        "locally typical sampling; 1.0 is off"),
    recommended(integer("--repeat-last-n N", stores.repeat_last_n, "64", "",
        "tokens that the penalties look back; 0 is off", minimum=0), "PENALTY_LAST_N"),
    recommended(real("--repeat-penalty N", "sampling.penalty_repeat", "1.0", "REPEAT_PENALTY",
        "penalty on repeated tokens; 1.0 is off"), "PENALTY_REPEAT"),
    real("--presence-penalty N", "sampling.penalty_present", "0.0", "PRESENCE_PENALTY",
        "penalty on tokens that have occurred; 0.0 is off"),
    real("--frequency-penalty N", "sampling.penalty_freq", "0.0", "FREQUENCY_PENALTY",
        "penalty on tokens by how often they have occurred; 0.0 is off"),
)

_SPECULATIVE = (
    path("-md --model-draft --spec-draft-model FNAME", "speculative.draft.mparams.path", "none",
        "SPEC_DRAFT_MODEL", "draft model for speculative decoding"),
    valued("-ngld --gpu-layers-draft --spec-draft-ngl N", "speculative.draft.n_gpu_layers", "auto",
        "N_GPU_LAYERS_DRAFT", "layers of the draft model in VRAM: a number, 'auto' or 'all'",
        kind="integer", parse=stores.layers),
    integer("--spec-draft-n-max N", "speculative.draft.n_max", "3", "SPEC_DRAFT_N_MAX",
        "most tokens that are drafted at once", minimum=0),
    integer("--spec-draft-n-min N", "speculative.draft.n_min", "0", "SPEC_DRAFT_N_MIN",
        "fewest tokens that are drafted at once", minimum=0),
)

_SERVER = (
    valued("--host HOST", "hostnames", "127.0.0.1", "HOST",
        "addresses to listen on, divided by commas", kind="list", parse=texts),
    integer("--port PORT", "port", "8080", "PORT",
        "port to listen on; 0 takes a free one", minimum=0, maximum=65535),
    valued("-a --alias STRING", stores.aliases, "the file's name", "ALIAS",
        "names that the API gives the model, divided by commas", kind="list", parse=texts),
    valued("--api-key KEY", stores.add_api_keys, "none", "",
        "keys that requests must show, divided by commas; LLAMA_API_KEY adds to them",
        kind="list", parse=texts),
    valued("--api-key-file FNAME", stores.add_api_keys, "none", "API_KEY_FILE",
        "file with one key per line; # begins a comment", kind="path", parse=stores.keys_in),
    integer("-np --parallel N", "n_parallel", "-1", "N_PARALLEL",
        "slots, which are requests served at once; -1 is auto: 4 that share one KV cache"),
    switch("-cb --cont-batching", "cont_batching", "enabled", "CONT_BATCHING",
        "let requests join a running batch", no="-nocb --no-cont-batching"),
    switch("-kvu --kv-unified", "kv_unified", "enabled if the number of slots is auto",
        "KV_UNIFIED", "one KV cache shared by all slots", no="-no-kvu --no-kv-unified"),
    integer("-ctxcp --swa-checkpoints --ctx-checkpoints N", "n_ctx_checkpoints", "32",
        "CTX_CHECKPOINTS", "most context checkpoints per slot", minimum=0),
    integer("-cram --cache-ram N", "cache_ram_mib", "8192", "CACHE_RAM",
        "most MiB of RAM for cached prompts; -1 is no limit, 0 is off"),
    switch("--cache-prompt", "cache_prompt", "enabled", "CACHE_PROMPT",
        "reuse what a slot has already computed", no="--no-cache-prompt"),
    integer("--cache-reuse N", "n_cache_reuse", "0", "CACHE_REUSE",
        "smallest piece of a cached prompt that is reused by shifting; 0 is off", minimum=0),
    switch("--context-shift", "ctx_shift", "disabled", "CONTEXT_SHIFT",
        "drop old tokens when the context is full", no="--no-context-shift"),
    switch("--warmup", "warmup", "enabled", "",
        "run the model once before serving", no="--no-warmup"),
    integer("--sleep-idle-seconds N", "sleep_idle_seconds", "-1", "",
        "unload the weights after this many idle seconds; -1 is never"),
    switch("--embedding --embeddings", "embedding", "disabled", "EMBEDDINGS",
        "serve embeddings only"),
    switch("--rerank --reranking", stores.rerank, "disabled", "RERANKING", "serve reranking"),
    member("--pooling", "pooling_type", "as the model says", "POOLING",
        "how token embeddings become one", "llama_pooling_type", _POOLING),
    path("-mm --mmproj FILE", "mmproj.path", "none", "MMPROJ",
        "projector file of a multimodal model"),
    switch("--mmproj-offload", "mmproj_use_gpu", "enabled", "MMPROJ_OFFLOAD",
        "run the projector on the GPU", no="--no-mmproj-offload"),
    switch("--jinja", "use_jinja", "enabled", "JINJA",
        "render chats with the model's Jinja template", no="--no-jinja"),
    valued("--chat-template JINJA_TEMPLATE", "chat_template", "the model's own", "CHAT_TEMPLATE",
        "Jinja template, or the name of a built-in one"),
    valued("--chat-template-file JINJA_TEMPLATE_FILE", "chat_template", "the model's own",
        "CHAT_TEMPLATE_FILE", "file with a Jinja template", kind="path", parse=stores.content),
    valued("--chat-template-kwargs STRING", stores.add_template_arguments, "none",
        "CHAT_TEMPLATE_KWARGS", "JSON object of arguments for the template",
        parse=stores.json_object),
    member("--reasoning-format", "reasoning_format", "deepseek", "THINK",
        "where an answer's reasoning is put", "common_reasoning_format", _REASONING_FORMATS),
    words("-rea --reasoning", stores.reasoning, "auto", "REASONING",
        "let the model reason", "on", "off", "auto"),
    integer("--reasoning-budget N", "sampling.reasoning_budget_tokens", "-1", "THINK_BUDGET",
        "most tokens of reasoning; -1 is no limit, 0 is none"),
    integer("-to --timeout N", stores.timeout, "3600", "TIMEOUT",
        "seconds that reading or writing a request may take", minimum=1),
    integer("--threads-http N", "n_threads_http", "-1", "THREADS_HTTP",
        "threads for HTTP; -1 chooses"),
    switch("--metrics", "endpoint_metrics", "disabled", "ENDPOINT_METRICS", "serve /metrics"),
    switch("--props", "endpoint_props", "disabled", "ENDPOINT_PROPS", "let /props be changed"),
    switch("--slots", "endpoint_slots", "enabled", "ENDPOINT_SLOTS",
        "serve /slots", no="--no-slots"),
    path("--slot-save-path PATH", "slot_save_path", "disabled", "",
        "where slots may be saved"),
)
# fmt: on

TABLE: tuple[Flag, ...] = (
    *in_section("common", *_COMMON),
    *in_section("sampling", *_SAMPLING),
    *in_section("speculative", *_SPECULATIVE),
    *in_section("server", *_SERVER),
)

# Every spelling of every flag as a preset file may write it: without dashes, or as LLAMA_ARG_….
BY_KEY: dict[str, Flag] = {
    key: flag
    for flag in TABLE
    for key in (*(name.lstrip("-") for name in flag.names + flag.negations), flag.variable)
    if key
}
