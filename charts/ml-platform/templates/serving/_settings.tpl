{{/* The settings of the serving process. What it serves is not among them: that stands in the Deployment, so that a pod of
     an old ReplicaSet that restarts, or `kubectl rollout undo`, serves what it was told to. */}}
{{- define "mlplat.serving.settings" -}}
{{- with .Values.serving.settings -}}
MLPLAT_DRAIN_SECONDS: {{ .drainSeconds | quote }}
MLPLAT_DRAIN_UNREADY: {{ .drainUnready | quote }}
MLPLAT_DEADLINE_SECONDS: {{ .deadlineSeconds | quote }}
MLPLAT_KEEP_ALIVE_SECONDS: {{ .keepAliveSeconds | quote }}
MLPLAT_POLL_SECONDS: {{ .pollSeconds | quote }}
MLPLAT_THREADS: {{ .threads | quote }}
MLPLAT_MAX_ROWS: {{ .maxRows | int64 | quote }}
MLPLAT_MAX_BODY_BYTES: {{ .maxBodyBytes | int64 | quote }}
MLPLAT_MAX_WAITING: {{ .maxWaiting | int64 | quote }}
MLPLAT_RECEIVE_SECONDS: {{ .receiveSeconds | quote }}
MLPLAT_MAX_CONNECTIONS: {{ .maxConnections | int64 | quote }}
MLPLAT_ACCESS_LOG: {{ .accessLog | quote }}
MLPLAT_TRACING: {{ .tracing | quote }}
LOG_LEVEL: {{ .logLevel }}
{{- end -}}
{{- end -}}

{{/* Seconds from SIGTERM to SIGKILL: drain, then the deadline of the last requests, then a moment to end. */}}
{{- define "mlplat.serving.grace" -}}
{{- $s := .Values.serving -}}
{{- $s.terminationGracePeriodSeconds | default (add $s.settings.drainSeconds $s.settings.deadlineSeconds 10) | int -}}
{{- end -}}

{{- define "mlplat.serving.progressDeadline" -}}
{{- $training := ternary (int .Values.training.activeDeadlineSeconds) 480 .Values.training.enabled -}}
{{- .Values.serving.rollout.progressDeadlineSeconds | default (add $training 120) | int -}}
{{- end -}}
