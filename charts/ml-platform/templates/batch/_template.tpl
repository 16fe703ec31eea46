{{/* Where a run writes: as given, or on the claim, one file, or a folder of shards. $(JOB_NAME) is filled in by the kubelet. */}}
{{- define "mlplat.batch.output" -}}
{{- .Values.batch.output | default (printf "/models/batch/$(JOB_NAME)%s" (ternary "/" ".parquet" (gt (int .Values.batch.shards) 1))) -}}
{{- end -}}

{{/* Length of a name that a Job of so many shards may have, out of `limit`: its pods are called NAME-INDEX. (list $ limit) */}}
{{- define "mlplat.batch.limit" -}}
{{- $shards := int (index . 0).Values.batch.shards -}}
{{- ternary (sub (index . 1) (sub $shards 1 | toString | len | add1)) (index . 1) (gt $shards 1) | int -}}
{{- end -}}

{{- define "mlplat.batch.job" -}}
{{- $b := .Values.batch -}}
{{- if gt (int $b.shards) 1 -}}
completionMode: Indexed
completions: {{ $b.shards }}
parallelism: {{ $b.shards }}
{{ end -}}
backoffLimit: {{ $b.backoffLimit }}
activeDeadlineSeconds: {{ $b.activeDeadlineSeconds }}
{{- if not (kindIs "invalid" $b.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ $b.ttlSecondsAfterFinished }}
{{- end }}
{{ include "mlplat.podFailurePolicy" . }}
template:
  metadata:
    labels:
      {{- include "mlplat.podLabels" (list . "batch" $b.podLabels) | nindent 6 }}
    {{- with $b.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- include "mlplat.pod" (list . $b) | nindent 4 }}
    restartPolicy: Never
    {{- with $b.tolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with include "mlplat.affinity" (list . "batch" (dict)) }}
    {{- . | nindent 4 }}
    {{- end }}
    containers:
      - name: batch
        {{- include "mlplat.container" (list .) | nindent 8 }}
        args:
          - batch
          {{- include "mlplat.which" . | nindent 10 }}
          - --input
          - {{ $b.input | quote }}
          - --output
          - {{ include "mlplat.batch.output" . | quote }}
          - --on-error
          - {{ $b.onError | quote }}
          - --threads
          - {{ $b.threads | quote }}
          {{- if gt (int $b.shards) 1 }}
          - --shards
          - {{ $b.shards | quote }}
          {{- end }}
          {{- if $b.overwrite }}
          - --overwrite
          {{- end }}
          {{- with $b.extraArgs }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        env:
          {{- include "mlplat.jobNameEnv" "JOB_NAME" | nindent 10 }}
          {{- include "mlplat.env" (list . "batch" $b) | nindent 10 }}
        {{- with include "mlplat.envFrom" (list . "batch" $b) }}
        envFrom:
          {{- . | trim | nindent 10 }}
        {{- end }}
        resources:
          {{- toYaml ($b.resources | default dict) | nindent 10 }}
        volumeMounts:
          {{- include "mlplat.mounts" (list . "batch" $b false) | nindent 10 }}
    volumes:
      {{- include "mlplat.volumes" (list . "batch" $b "") | nindent 6 }}
{{- end -}}
