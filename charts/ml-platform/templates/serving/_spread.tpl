{{/* Spread over a topology, each ReplicaSet for itself. (list $ key whenUnsatisfiable) */}}
{{- define "mlplat.serving.spread" -}}
- topologyKey: {{ index . 1 }}
  maxSkew: 1
  whenUnsatisfiable: {{ index . 2 }}
  labelSelector:
    matchLabels:
      {{- include "mlplat.selector" (list (index . 0) "inference-server") | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}
