"""A help text in llama-server's layout, with every form that its entries take."""

from __future__ import annotations

HELP = """\
some_library: it says something before the help
----- common params -----

-h,    --help, --usage                  show this and end
-q,    --quick N                        how quick it is, from slow
                                        to quick (default: -1)
                                        (env: LLAMA_ARG_QUICK)
-qb,   --quick-batch N                  the same for batches (default: same as --quick)
--strict <0|1>                          how strict (default: 0)
--level <0...100>                       how high (0 - not at all, default: 50)
-c,    --ctx-size N                     length of the context (default: 0, 0 = from the model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-l,    --loud, --no-loud                whether it is loud (default: enabled)
                                        (env: LLAMA_ARG_LOUD)
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        where its cache is (default: enabled, needs a GPU)
                                        (env: LLAMA_ARG_KV_OFFLOAD)
--shy, -ns, --no-shy                    whether it is shy (default: disabled)
--no-fun                                without fun
                                        (env: LLAMA_ARG_NO_FUN)
-fa,   --flash-attn [on|off|auto]       an attention ('on', 'off', or 'auto', default: 'auto')
                                        [(more
                                        info)](https://example.org/1#a_b)
                                        (env: LLAMA_ARG_FLASH_ATTN)
-sm,   --split-mode {none,layer,row}
                                        how it is split:
                                        - none: not at all
                                        - layer (default): by layers
                                        - row: by rows
-ck,   --cache-kind TYPE                kind of the cache
                                        allowed values: f16, q8_0, q4_0
                                        (default: f16)
-mo,   --mode MODE                      mode of work (default: auto)
                                        - none: nothing
                                        - fast+wild: everything

                                        (env: LLAMA_ARG_MODE)
--share N0,N1,N2,...                    shares, divided by commas
-ot,   --put <name pattern>=<place>,...
                                        where tensors go
-ngl,  --gpu-layers, --n-gpu-layers N   layers on the GPU: a number, 'auto' or 'all' (default: auto)
-m,    --model FNAME                    the model's file
                                        (env: LLAMA_ARG_MODEL)
-hf,   -hfr, --hf-repo <user>/<model>[:kind]
                                        a repository (default: unused)
--notes NOTES                           Write notes to a file. They are long
--greeting TEXT                         what it says first (default: none)
--range START END                       from here to there


----- sampling params -----

--order WORDS                           the order
                                        (default:
                                        one;two;three)
--temp, --temperature N                 heat (default: 0.80)
                                        (env: LLAMA_ARG_TEMPERATURE)
--rope-scale N                          factor of the positions
--odds P                                chances


----- speculative params -----

--spec-draft-model, -md, --model-draft FNAME
                                        a smaller model (default: unused)
--spec-kind none,simple,clever          kinds, divided by commas (default:
                                        none)
--draft, --draft-max N                  the argument has been removed. use --spec-draft-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)


----- example-specific params -----

--host HOST                             where it listens (default: 127.0.0.1)
--port PORT                             on which port (default: 8080)
--pages-default                         its own pages (note: they are downloaded)
"""
